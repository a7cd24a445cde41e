//! Connections to Postgres, made as the service makes them: with TLS where the server offers it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::Host;
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
    verified(url).parse().map_err(|_| {
        anyhow!("the database URL is invalid: it must be postgres://user:password@host:port/name, with special characters of the password percent-encoded")
    })
}

/// Replaces modes of TLS that the driver does not know by `require`: certificate and host name are verified in any case.
fn verified(url: &str) -> String {
    let Some((server, parameters)) = url.split_once('?') else {
        return url.to_owned();
    };
    let parameters = parameters.split('&').map(|parameter| match parameter {
        "sslmode=verify-full" | "sslmode=verify-ca" => "sslmode=require",
        other => other,
    });
    let parameters: Vec<&str> = parameters.collect();
    format!("{server}?{}", parameters.join("&"))
}

/// Returns the environment variables with which Postgres's own programs connect to the database at `url`. Other users
/// can see an argument, but not these.
///
/// # Errors
/// When the URL is invalid or has no TCP host.
pub fn libpq_environment(url: &str) -> Result<Vec<(&'static str, String)>> {
    let config = parse(url)?;
    let Some(Host::Tcp(host)) = config.get_hosts().first() else {
        bail!("the database URL has no host");
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut environment = vec![("PGHOST", host.clone()), ("PGPORT", port.to_string())];
    if let Some(user) = config.get_user() {
        environment.push(("PGUSER", user.to_owned()));
    }
    if let Some(password) = config.get_password() {
        environment.push(("PGPASSWORD", String::from_utf8_lossy(password).into_owned()));
    }
    if let Some(name) = config.get_dbname() {
        environment.push(("PGDATABASE", name.to_owned()));
    }
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let mode = parameters
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("sslmode="));
    if let Some(mode) = mode {
        environment.push(("PGSSLMODE", mode.to_owned()));
        if mode.starts_with("verify-") {
            // The system's certificate authorities, as the service uses them.
            environment.push(("PGSSLROOTCERT", "system".to_owned()));
        }
    }
    Ok(environment)
}

async fn connect_with(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(TLS.clone()).await?;
    // Ends when the client is dropped; errors reach the client as well.
    tokio::spawn(connection);
    Ok(client)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn knows_the_modes_of_tls_that_the_service_knows() {
        for (mode, expected) in [
            ("disable", SslMode::Disable),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            let url = format!("postgres://u:p@db.example/diary?connect_timeout=2&sslmode={mode}");
            let config = parse(&url).unwrap();
            assert_eq!(config.get_ssl_mode(), expected, "{mode}");
            assert_eq!(config.get_dbname(), Some("diary"));
        }
    }

    #[test]
    fn passes_the_parts_of_a_url_to_the_programs_of_postgres() {
        let url = "postgres://ann:p%40ss%3A%2F@db.example:6543/diary?sslmode=verify-full";
        let expected = [
            ("PGHOST", "db.example"),
            ("PGPORT", "6543"),
            ("PGUSER", "ann"),
            ("PGPASSWORD", "p@ss:/"),
            ("PGDATABASE", "diary"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "system"),
        ];
        let environment = libpq_environment(url).unwrap();
        assert_eq!(
            environment,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
