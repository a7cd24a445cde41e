//! TLS to Postgres and Redis, through a proxy with a certificate of its own. The certificate reaches
//! Spin in other ways, so these run on the embedded host only.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use url::form_urlencoded;

use crate::runtime::{Start, authority, is_spin, setting};

/// Asks a Postgres server for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Accepts TLS and passes everything on to a server without it.
struct TlsProxy {
    address: SocketAddr,
    /// The certificate in PEM format.
    certificate: String,
    _runtime: Runtime,
}

impl TlsProxy {
    fn start(server: String, protocol: Protocol) -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("the name is valid");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("the key is valid");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports them")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("the key fits the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().expect("threads can be started");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, acceptor.clone(), server.clone(), protocol));
            }
        });
        Self {
            address,
            certificate: cert.pem(),
            _runtime: runtime,
        }
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Postgres,
    Redis,
}

async fn forward(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    server: String,
    protocol: Protocol,
) -> Option<()> {
    if matches!(protocol, Protocol::Postgres) {
        let mut request = [0; SSL_REQUEST.len()];
        client.read_exact(&mut request).await.ok()?;
        assert_eq!(request, SSL_REQUEST);
        client.write_all(b"S").await.ok()?;
    }
    let mut client = acceptor.accept(client).await.ok()?;
    let mut server = TcpStream::connect(server).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}

/// Returns the probe's route for a query, with parameters.
fn target(parameters: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("/pg/query?{}", query.extend_pairs(parameters).finish())
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn postgres_trusts_the_root_certificate_of_the_component_only_where_it_is_passed() {
    if is_spin() {
        return;
    }
    let database = setting("TEST_DATABASE_URL");
    let proxy = TlsProxy::start(authority(&database), Protocol::Postgres);
    let address = proxy.address.to_string();
    let runtime = Start::probe().variable("database_host", &address).serve();
    let database = database.replace(&authority(&database), &address);
    let address = ("address", format!("{database}?sslmode=require"));
    let root = ("root_certificate", proxy.certificate.clone());
    let trusting = target(&[address.clone(), root]);
    let response = runtime.post(&trusting, "select 1 as one").json();
    assert_eq!(
        response["rows"],
        json!([["DbValue::Int32(1)"]]),
        "{response}"
    );
    let error = runtime.post(&target(&[address]), "select 1 as one").error();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn redis_trusts_the_certificates_of_ssl_cert_file() {
    if is_spin() {
        return;
    }
    let redis = setting("TEST_REDIS_URL");
    let proxy = TlsProxy::start(authority(&redis), Protocol::Redis);
    let address = proxy.address.to_string();
    let start = || {
        let url = redis.replace(&authority(&redis), &address);
        let url = url.replace("redis://", "rediss://");
        let start = Start::probe().variable("redis_host", &address);
        start.variable("redis_url", &url)
    };
    let trusting = start()
        .file("ca.pem", &proxy.certificate)
        .environment("SSL_CERT_FILE", "ca.pem")
        .serve();
    let response = trusting.post("/redis", "PING").json();
    assert_eq!(
        response,
        json!({ "results": ["RedisResult::Status(\"PONG\")"] })
    );
    let error = start().serve().post("/redis", "PING").error();
    assert!(error.contains("UnknownIssuer"), "{error}");
}
