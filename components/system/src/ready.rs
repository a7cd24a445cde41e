//! `GET /ready`: whether what every request needs can be reached from here.

use std::sync::OnceLock;

use futures::future::join;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use thought_diary::{
    Error, Response,
    config::{Secret, once, variable},
    http::json,
    pg::{Database, column},
    redis,
};

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Checks,
    analysis: Option<Analysis>,
}

#[derive(Serialize)]
struct Checks {
    database: &'static str,
    redis: &'static str,
}

#[derive(Serialize)]
struct Analysis {
    /// Entries that wait for the model after it failed on them; 10,000 where there are more.
    waiting: i64,
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
    let (waiting, redis) = join(
        waiting(&config.database),
        redis::execute(&config.redis_url, "PING", Vec::new()),
    )
    .await;
    let up = waiting.is_ok() && redis.is_ok();
    let mut response = json(
        if up {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        &Ready {
            status: if up { "ready" } else { "unavailable" },
            checks: Checks {
                database: state(waiting.is_ok()),
                redis: state(redis.is_ok()),
            },
            analysis: waiting.ok().map(|waiting| Analysis { waiting }),
        },
    );
    if !up {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}

/// Also tells whether the database is migrated, as requests need that.
async fn waiting(database: &Database) -> Result<i64, Error> {
    let statement = "-- system::ready()
        select diaries_waiting()";
    let row = database.row(statement, Vec::new()).await?;
    column(&row.unwrap_or_default(), 0)
}

fn state(up: bool) -> &'static str {
    if up { "ok" } else { "down" }
}
