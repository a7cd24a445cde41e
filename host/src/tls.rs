//! TLS for outbound connections: which certificates are trusted.

use std::sync::LazyLock;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Certificates of the machine, or of `SSL_CERT_FILE` where that is set, and those of Mozilla.
/// Loaded at the first use, since parsing them takes some milliseconds.
static ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// Returns a client configuration that trusts [`ROOTS`] and `extra`.
pub fn client_config(extra: &[CertificateDer<'static>]) -> ClientConfig {
    let mut roots = ROOTS.clone();
    roots.add_parsable_certificates(extra.iter().cloned());
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
