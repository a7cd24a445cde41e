//! TLS to Postgres (`sslmode=verify-full`) and Redis (`rediss://`), with the certificate authority in `SSL_CERT_FILE`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use macro_rules_attribute::apply;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use testbed::{migrate, postgres, redis};

use crate::support::database::Database;
use crate::support::env::{HIGH_LIMITS, TestEnv};
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;

/// The only host for which the servers have a certificate.
const HOST: &str = "127.0.0.1";

/// A certificate authority, and a server's certificate and key, in PEM format.
struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn generate() -> Self {
        let authority_key = KeyPair::generate().expect("a key is generated");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL, which Spin uses, takes a certificate with the name of its authority for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority of the tests");
        let authority = params.self_signed(&authority_key);
        let authority = authority.expect("the authority signs itself").pem();
        let key = KeyPair::generate().expect("a key is generated");
        let server = CertificateParams::new([HOST.to_owned()]).expect("the host is valid");
        let certificate = server.signed_by(&key, &Issuer::new(params, authority_key));
        Self {
            authority,
            certificate: certificate.expect("the authority signs it").pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Servers that accept TLS.
struct TlsServers {
    database_url: String,
    redis_url: String,
    /// The file with the certificate authority.
    authority: PathBuf,
    _postgres: postgres::Server,
    _redis: redis::Server,
    _folder: TempDir,
}

impl TlsServers {
    async fn start() -> Self {
        let folder = TempDir::new().expect("a folder is created");
        let certificates = Certificates::generate();
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, &certificates.authority).expect("the file is written");
        let (postgres, database_url) = start_postgres(folder.path(), &certificates).await;
        let (redis, redis_url) = start_redis(folder.path(), &certificates).await;
        Self {
            database_url,
            redis_url,
            authority,
            _postgres: postgres,
            _redis: redis,
            _folder: folder,
        }
    }

    async fn start_instance(&self, env: &TestEnv, trusts_authority: bool) -> Instance {
        let authority = self.authority.to_str().expect("the path is UTF-8");
        let environment = [("SSL_CERT_FILE", authority)];
        let environment = if trusts_authority {
            &environment[..]
        } else {
            &[]
        };
        env.start_instance_with(
            &self.database_url,
            &self.redis_url,
            HIGH_LIMITS,
            environment,
        )
        .await
    }
}

/// Starts Postgres, turns TLS on, and returns the URL of a migrated database that requires it.
async fn start_postgres(folder: &Path, certificates: &Certificates) -> (postgres::Server, String) {
    let server = postgres::Server::start_throw_away(&folder.join("postgres")).await;
    let server = server.expect("Postgres starts");
    let url = server.create_database("diary").await;
    let url = url.expect("Postgres creates a database");
    let database = Database::connect(&url).await;
    // The server itself writes the files, because it accepts a key only if it owns the file and nobody else can read it.
    for (file, content) in [
        ("server.crt", &certificates.certificate),
        ("server.key", &certificates.key),
    ] {
        let lines = content.lines().map(|line| format!("('{line}')"));
        let lines = lines.collect::<Vec<_>>().join(", ");
        let write = format!("copy (values {lines}) to program 'umask 077; cat > {file}'");
        database.batch(&write).await;
    }
    migrate::up(&url).await.expect("an empty database migrates");
    database.batch("alter system set ssl = on").await;
    database.batch("select pg_reload_conf()").await;
    (server, format!("{url}?sslmode=verify-full"))
}

/// Starts Redis, opens a port with TLS, and returns its URL.
async fn start_redis(folder: &Path, certificates: &Certificates) -> (redis::Server, String) {
    let server = redis::Server::start(&folder.join("redis")).await;
    let server = server.expect("Redis starts");
    let certificate = folder.join("redis.crt");
    let key = folder.join("redis.key");
    std::fs::write(&certificate, &certificates.certificate).expect("the file is written");
    std::fs::write(&key, &certificates.key).expect("the file is written");
    let listener = TcpListener::bind((HOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let url = server.url(0);
    let client = ::redis::Client::open(url.as_str()).expect("the URL is valid");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("Redis accepts connections");
    let configured = ::redis::cmd("CONFIG")
        .arg("SET")
        .arg(&["tls-auth-clients", "no"])
        .arg("tls-cert-file")
        .arg(certificate.as_os_str().as_encoded_bytes())
        .arg("tls-key-file")
        .arg(key.as_os_str().as_encoded_bytes())
        .arg(&["tls-port", &port.to_string()])
        .exec_async(&mut connection)
        .await;
    configured.expect("Redis accepts TLS");
    let plain = server.address().to_string();
    let url = url.replace("redis://", "rediss://");
    (server, url.replace(&plain, &format!("{HOST}:{port}")))
}

async fn assert_ready(instance: &Instance, status: u16, expected: serde_json::Value) {
    let response = instance.anonymous().get("/ready").await;
    assert_eq!(response.expect_status(status).json(), expected);
}

#[apply(e2e_test!)]
async fn serves_over_connections_whose_authority_it_trusts(env: &TestEnv) {
    let servers = TlsServers::start().await;
    let instance = servers.start_instance(env, true).await;
    let checks = json!({"database": "ok", "redis": "ok"});
    assert_ready(&instance, 200, json!({"status": "ready", "checks": checks})).await;
    let user = instance.user().await;
    let entry = user.create_entry("I am calm.").await;
    assert_eq!(entry["content"], "I am calm.");
    let encrypted = Database::connect(&servers.database_url.replace("verify-full", "disable"))
        .await
        .value::<i64>(
            "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
            where ssl and datname = current_database()",
            &[],
        )
        .await;
    assert_ne!(encrypted, 0, "the service connects without TLS");
}

#[apply(e2e_test!)]
async fn refuses_servers_whose_authority_it_does_not_trust(env: &TestEnv) {
    let servers = TlsServers::start().await;
    let instance = servers.start_instance(env, false).await;
    let checks = json!({"database": "down", "redis": "down"});
    let expected = json!({"status": "unavailable", "checks": checks});
    assert_ready(&instance, 503, expected).await;
}

#[apply(e2e_test!)]
async fn refuses_a_certificate_of_another_host(env: &TestEnv) {
    let mut servers = TlsServers::start().await;
    for url in [&mut servers.database_url, &mut servers.redis_url] {
        *url = url.replace(HOST, "localhost");
    }
    let instance = servers.start_instance(env, true).await;
    let checks = json!({"database": "down", "redis": "down"});
    let expected = json!({"status": "unavailable", "checks": checks});
    assert_ready(&instance, 503, expected).await;
}
