//! Connections to Postgres, made as the service makes them: with TLS where the server offers it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a server that is just starting is waited for.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

static TLS: LazyLock<MakeRustlsConnect> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder().with_root_certificates(roots);
    MakeRustlsConnect::new(config.with_no_client_auth())
});

/// Connects to the database at `url`, once.
///
/// # Errors
/// When the URL is invalid (the message does not show it), or the server refuses or is unreachable.
pub async fn connect(url: &str) -> Result<Client> {
    connect_with(&parse(url)?)
        .await
        .context("cannot connect to the database: is it running, and is the URL right?")
}

/// Connects to the database at `url`; retries while the server is starting.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to_starting(url: &str) -> Result<Client> {
    let config = parse(url)?;
    let begun = Instant::now();
    while let Err(error) = connect_with(&config).await {
        let starting = error
            .code()
            .is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW);
        if !starting || begun.elapsed() > START_TIMEOUT {
            break;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    connect(url).await
}

fn parse(url: &str) -> Result<Config> {
    url.parse().map_err(|_| {
        anyhow!("the database URL is invalid: it must be postgres://user:password@host:port/name, with special characters of the password percent-encoded")
    })
}

async fn connect_with(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(TLS.clone()).await?;
    // Ends when the client is dropped; errors reach the client as well.
    tokio::spawn(connection);
    Ok(client)
}
