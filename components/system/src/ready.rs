//! `GET /ready`: whether this instance reaches what requests need.

use std::sync::OnceLock;

use futures::future::join;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Error, Response,
    config::{Secret, once, variable},
    error::unavailable,
    http::{FromRequest, Request},
    pg::Database,
    redis,
    response::json,
};

use crate::db;

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    database: &'static str,
    redis: &'static str,
}

/// The settings of the readiness check, loaded once per instance.
#[derive(Debug)]
pub struct Config {
    database: Database,
    redis_url: Secret,
}

impl FromRequest for &'static Config {
    async fn from_request(_: &mut Request) -> Result<Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, async {
            Ok(Config {
                database: Database::from_variables().await?,
                redis_url: Secret::new(variable("redis_url").await?),
            })
        })
        .await
    }
}

/// `GET /ready`
///
/// Answers 200 when everything works, and also when only Redis does not: users
/// who are logged in are served. Answers 503 without a migrated database.
pub async fn ready(config: &'static Config) -> Result<Response, Error> {
    let (is_migrated, is_writable) = join(
        db::is_migrated(&config.database),
        redis_is_writable(&config.redis_url),
    )
    .await;
    let database = match is_migrated {
        Ok(true) => "ok",
        Ok(false) | Err(Error::Internal(_)) => "migrate",
        Err(_) => "down",
    };
    let redis = if is_writable { "ok" } else { "down" };
    let status = match (database, redis) {
        ("ok", "ok") => "ready",
        ("ok", _) => "degraded",
        _ => "unavailable",
    };
    let readiness = Readiness {
        status,
        checks: Checks { database, redis },
    };
    Ok(match status {
        "unavailable" => unavailable(&readiness),
        _ => json(StatusCode::OK, &readiness),
    })
}

/// Writes a key that expires at once: a full or read-only Redis still answers PING.
async fn redis_is_writable(redis_url: &Secret) -> bool {
    redis::execute(redis_url, "SET", &["ready", "1", "PX", "1"])
        .await
        .is_ok()
}
