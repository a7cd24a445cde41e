//! `GET /health`: the process responds. It uses no other service, so that an unreachable database restarts nothing.

use chrono::Utc;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{Error, Response, http::Context, response::json, timestamp};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
}

/// `GET /health`
pub async fn health(context: Context) -> Result<Response, Error> {
    context.do_not_count();
    let health = Health {
        status: "healthy",
        timestamp: timestamp(Utc::now()),
    };
    Ok(json(StatusCode::OK, &health))
}
