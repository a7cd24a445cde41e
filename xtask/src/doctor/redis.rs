//! Redis's password, memory limit, eviction policy and version.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::{Client, ErrorKind, IntoConnectionInfo, RedisError, cmd};
use reqwest::Url;
use testbed::settings::Settings;

use super::findings::Findings;

pub async fn check(settings: &Settings, findings: &mut Findings) {
    let Some(url) = settings.get("redis_url") else {
        return findings.skipped("Redis", "redis_url is not set");
    };
    // The error of an invalid URL would show it.
    let Ok(url) = Url::parse(url) else {
        return findings.failed("Redis", "redis_url is not a URL");
    };
    let mut connection = match connect(&url).await {
        Ok(connection) => connection,
        Err(error) => return findings.failed("Redis", format!("cannot connect: {error}")),
    };
    if let Err(error) = server(&mut connection, findings).await {
        findings.failed("Redis", format!("{error:#}"));
    }
    password(url, findings).await;
}

async fn connect(url: &Url) -> Result<MultiplexedConnection, RedisError> {
    testbed::api::install_crypto_provider();
    let info = url.as_str().into_connection_info()?;
    Client::open(info)?.get_multiplexed_async_connection().await
}

async fn password(mut url: Url, findings: &mut Findings) {
    let is_local = url
        .host_str()
        .is_some_and(|host| ["127.0.0.1", "::1", "localhost"].contains(&host));
    let is_encrypted = url.scheme() == "rediss";
    findings.expect(
        "Redis connection",
        is_encrypted || is_local,
        "is encrypted or local",
        "is not encrypted and may leave the machine: use rediss://, or a network that nobody else is in",
    );
    if url.set_password(None).is_err() || url.set_username("").is_err() {
        return;
    }
    let open = async {
        cmd("PING")
            .query_async::<String>(&mut connect(&url).await?)
            .await
    };
    findings.expect(
        "Redis password",
        open.await.is_err(),
        "is required",
        "is not required: set requirepass in Redis's configuration",
    );
}

async fn server(connection: &mut MultiplexedConnection, findings: &mut Findings) -> Result<()> {
    let info: String = cmd("INFO")
        .arg("server")
        .query_async(connection)
        .await
        .context("INFO failed")?;
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or("unknown");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    findings.expect(
        "Redis version",
        major.is_some_and(|major| major >= 6),
        version,
        format!("{version} is older than 6: upgrade it"),
    );

    let settings = cmd("CONFIG")
        .arg("GET")
        .arg("maxmemory*")
        .query_async(connection)
        .await;
    let settings: BTreeMap<String, String> = match settings {
        Ok(settings) => settings,
        // Managed servers often forbid it.
        Err(error)
            if error.kind() == ErrorKind::Server(redis::ServerErrorKind::ResponseError)
                || error.code().is_some() =>
        {
            findings.skipped("Redis memory", "the server does not show its configuration: check in its console that maxmemory-policy is noeviction");
            return Ok(());
        }
        Err(error) => return Err(error).context("CONFIG GET failed"),
    };
    let policy = settings
        .get("maxmemory-policy")
        .map_or("unknown", String::as_str);
    findings.expect(
        "Redis eviction",
        policy == "noeviction",
        "noeviction",
        format!(
            "{policy} can remove the counters that limit logins: set maxmemory-policy noeviction"
        ),
    );
    let limit: u64 = settings
        .get("maxmemory")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or_default();
    findings.expect(
        "Redis memory",
        limit > 0,
        format!("{} MiB at most", limit / 1024 / 1024),
        "has no limit: set maxmemory, 256mb for instance",
    );
    Ok(())
}
