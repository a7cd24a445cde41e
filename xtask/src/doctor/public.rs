//! The service at its public URL: readiness, TLS, headers, CORS, ports, clock, version, and proxies.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap, LOCATION, ORIGIN, STRICT_TRANSPORT_SECURITY,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};
use testbed::api::client_builder;
use testbed::settings::Settings;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::findings::Findings;

const TIMEOUT: Duration = Duration::from_secs(15);
/// A port that is filtered does not answer at all.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_CLOCK_DIFFERENCE: i64 = 5;
/// Ports that must not be reachable from outside: Postgres, PgBouncer, Redis, the service without TLS, Caddy's administration.
const INTERNAL_PORTS: [u16; 5] = [5432, 6432, 6379, 3000, 2019];
const SECURITY_HEADERS: [&str; 4] = [
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "content-security-policy",
];

pub async fn check(url: &Url, settings: &Settings, findings: &mut Findings) {
    let client = client_builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .build();
    let service = match client.context("cannot create an HTTP client") {
        Ok(client) => Service { client, url },
        Err(error) => return findings.failed("service", format!("{error:#}")),
    };
    let health = match service.get("/health", HeaderMap::new()).await {
        Ok(health) => health,
        Err(error) => {
            return findings.failed(
                "service",
                format!("{error:#}: check the address, the certificate and the proxy"),
            );
        }
    };
    tls(&service, &health, findings).await;
    headers(&health, findings);
    clock(health, findings).await;
    for result in [
        ready(&service, findings).await,
        version(&service, findings).await,
        operators(&service, findings).await,
        cors(&service, settings, findings).await,
        proxies(&service, settings, findings).await,
    ] {
        if let Err(error) = result {
            findings.failed("service", format!("{error:#}"));
        }
    }
    ports(url, findings).await;
}

struct Service<'a> {
    client: Client,
    url: &'a Url,
}

impl Service<'_> {
    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response> {
        let request = self.client.get(self.url.join(path)?).headers(headers);
        request
            .send()
            .await
            .with_context(|| format!("GET {path} failed"))
    }
}

async fn tls(service: &Service<'_>, health: &Response, findings: &mut Findings) {
    findings.expect(
        "TLS",
        service.url.scheme() == "https",
        "the certificate is valid",
        "the URL is not https: put a proxy with TLS in front (deploy/proxy)",
    );
    if service.url.scheme() != "https" {
        return;
    }
    findings.expect(
        "HSTS",
        health.headers().contains_key(STRICT_TRANSPORT_SECURITY),
        "browsers use https only",
        "is missing: set trusted_proxy_hops to the number of proxies, and let the proxy send X-Forwarded-Proto",
    );
    let mut plain = service.url.clone();
    if plain.set_scheme("http").is_err() || plain.set_port(None).is_err() {
        return;
    }
    let redirected = service
        .client
        .get(plain)
        .send()
        .await
        .ok()
        .is_none_or(|response| {
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok());
            response.status().is_redirection()
                && location.is_some_and(|location| location.starts_with("https://"))
        });
    findings.expect(
        "plain HTTP",
        redirected,
        "is closed or redirects to https",
        "is answered without a redirect: let the proxy redirect it",
    );
}

fn headers(health: &Response, findings: &mut Findings) {
    let missing: Vec<_> = SECURITY_HEADERS
        .into_iter()
        .filter(|name| !health.headers().contains_key(*name))
        .collect();
    findings.expect(
        "security headers",
        missing.is_empty(),
        "are sent",
        format!(
            "{} are missing: does the proxy remove them, and is this the service?",
            missing.join(", ")
        ),
    );
}

async fn clock(health: Response, findings: &mut Findings) {
    let body: Value = health.json().await.unwrap_or_default();
    let time = body.get("timestamp").and_then(Value::as_str);
    let Some(time) = time.and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok()) else {
        return findings.failed(
            "clock",
            "GET /health has no timestamp: is this the service?",
        );
    };
    let difference = (chrono::Utc::now().timestamp() - time.timestamp()).abs();
    findings.expect(
        "clock",
        difference <= MAX_CLOCK_DIFFERENCE,
        "agrees with this machine's",
        format!("differs by {difference} s from this machine's: synchronize both (`timedatectl`)"),
    );
}

async fn ready(service: &Service<'_>, findings: &mut Findings) -> Result<()> {
    let body: Value = service
        .get("/ready", HeaderMap::new())
        .await?
        .json()
        .await?;
    let check = |name: &str| {
        body.pointer(&format!("/checks/{name}"))
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    let (database, redis) = (check("database"), check("redis"));
    findings.expect(
        "readiness",
        database == "ok" && redis == "ok",
        "the database and Redis are ok",
        format!("database: {database}, redis: {redis}: docs/operations.md says what to do"),
    );
    Ok(())
}

async fn version(service: &Service<'_>, findings: &mut Findings) -> Result<()> {
    let body: Value = service
        .get("/version", HeaderMap::new())
        .await?
        .json()
        .await?;
    let version = body
        .get("version")
        .and_then(Value::as_str)
        .unwrap_or("unknown");
    let ours = env!("CARGO_PKG_VERSION");
    if version == ours {
        findings.passed("version", version);
    } else {
        findings.warning(
            "version",
            format!("{version} runs, and this checkout is {ours}: upgrade one of them"),
        );
    }
    Ok(())
}

/// Without a token, the service answers 401, and 404 if the routes of operators are disabled.
async fn operators(service: &Service<'_>, findings: &mut Findings) -> Result<()> {
    let response = service.get("/internal/metrics", HeaderMap::new()).await?;
    if response.status() == StatusCode::NOT_FOUND {
        findings.passed("operators", "/internal/ is refused");
    } else {
        findings.warning(
            "operators",
            format!(
                "/internal/metrics answers {}: let the proxy refuse /internal/ (deploy/proxy). Until then sweep_token protects it",
                response.status()
            ),
        );
    }
    Ok(())
}

async fn cors(service: &Service<'_>, settings: &Settings, findings: &mut Findings) -> Result<()> {
    let stranger = HeaderMap::from_iter([(ORIGIN, "https://stranger.example".parse()?)]);
    let response = service.get("/health", stranger).await?;
    findings.expect(
        "CORS",
        !response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
        "an unknown origin is refused",
        "an unknown origin is allowed: does the proxy add the header?",
    );
    let origins = settings.get("cors_origins").unwrap_or_default();
    let insecure: Vec<_> = origins
        .split(',')
        .map(str::trim)
        .filter(|origin| origin.starts_with("http://"))
        .collect();
    if origins.is_empty() {
        findings.warning(
            "cors_origins",
            "is not set: only http://localhost:5173 may call the service from a browser",
        );
    } else if !insecure.is_empty() {
        findings.warning(
            "cors_origins",
            format!(
                "{} have no TLS: remove them in production",
                insecure.join(", ")
            ),
        );
    } else {
        findings.passed("cors_origins", origins);
    }
    Ok(())
}

/// Sends two failing logins with different forged addresses. The service must count them for the same client.
async fn proxies(
    service: &Service<'_>,
    settings: &Settings,
    findings: &mut Findings,
) -> Result<()> {
    let mut remaining = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2"] {
        let response = service
            .client
            .post(service.url.join("/auth/login")?)
            .header("x-forwarded-for", address)
            .json(&json!({"email": "doctor@thought-diary.invalid", "password": "Wr0ng-password"}))
            .send()
            .await?;
        let header = response.headers().get("x-ratelimit-remaining");
        remaining.push(header.and_then(|value| value.to_str().ok()?.parse::<i64>().ok()));
    }
    let hops = settings.get("trusted_proxy_hops").unwrap_or("0");
    match remaining.as_slice() {
        [Some(first), Some(second)] if *first == second + 1 || (*first == 0 && *second == 0) => {
            findings.passed("client addresses", "a client cannot choose its address");
        }
        [Some(_), Some(_)] => findings.failed(
            "client addresses",
            format!("a client can choose its address by X-Forwarded-For: trusted_proxy_hops is {hops}, set it to the number of proxies that append"),
        ),
        _ => findings.skipped("client addresses", "logins are not limited, or not answered by the service"),
    }
    if service.url.scheme() == "https" && hops == "0" {
        findings.warning(
            "trusted_proxy_hops",
            "is 0 behind a proxy with TLS: all clients then share one limit on logins",
        );
    }
    Ok(())
}

async fn ports(url: &Url, findings: &mut Findings) {
    let Some(host) = url.host_str() else { return };
    let is_local = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if is_local {
        return findings.skipped(
            "ports",
            "the URL is on this machine: run the check from another one",
        );
    }
    let mut open = Vec::new();
    for port in INTERNAL_PORTS
        .into_iter()
        .filter(|port| Some(*port) != url.port())
    {
        if matches!(
            timeout(PORT_TIMEOUT, TcpStream::connect((host, port))).await,
            Ok(Ok(_))
        ) {
            open.push(port.to_string());
        }
    }
    findings.expect(
        "ports",
        open.is_empty(),
        "Postgres, Redis and the service without TLS are not reachable",
        format!(
            "{} are reachable from here: close them in the firewall, or listen on 127.0.0.1",
            open.join(", ")
        ),
    );
}
