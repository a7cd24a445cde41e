//! Which certificates outbound TLS trusts: the machine's, Mozilla's, and one more if asked.

use std::sync::LazyLock;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Reading the machine's certificates takes a while, so it waits for the first use.
static ROOTS: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// A client configuration that trusts the usual authorities and, if given, `root`.
pub fn client_config(root: Option<&CertificateDer<'static>>) -> ClientConfig {
    let mut roots = ROOTS.clone();
    roots.add_parsable_certificates(root.cloned());
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
