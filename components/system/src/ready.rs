//! `GET /ready`: whether what every request needs can be reached from here.

use std::sync::OnceLock;

use futures::future::join;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use thought_diary::{
    Error, Response,
    config::{Secret, once, variable},
    http::json,
    pg::Database,
    redis,
};

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    database: &'static str,
    redis: &'static str,
}

#[derive(Debug)]
struct Config {
    database: Database,
    redis_url: Secret,
}

impl Config {
    async fn get() -> Result<&'static Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, async {
            Ok(Self {
                database: Database::from_variable().await?,
                redis_url: Secret::new(variable("redis_url").await?),
            })
        })
        .await
    }
}

/// 200, or 503 with what is down.
pub async fn ready() -> Result<Response, Error> {
    let config = Config::get().await?;
    let (database, redis) = join(
        config
            .database
            .row("-- system::ready()\nselect 1", Vec::new()),
        redis::execute(&config.redis_url, "PING", Vec::new()),
    )
    .await;
    let up = database.is_ok() && redis.is_ok();
    let mut response = json(
        if up {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        &Ready {
            status: if up { "ready" } else { "unavailable" },
            checks: Checks {
                database: state(database.is_ok()),
                redis: state(redis.is_ok()),
            },
        },
    );
    if !up {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}

fn state(up: bool) -> &'static str {
    if up { "ok" } else { "down" }
}
