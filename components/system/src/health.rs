//! `GET /health`: the process answers. It touches nothing else, so that a database that is away restarts nobody.

use chrono::Utc;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Response,
    http::{json, timestamp},
};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
}

/// Always 200.
pub fn health() -> Response {
    json(
        StatusCode::OK,
        &Health {
            status: "healthy",
            timestamp: timestamp(Utc::now()),
        },
    )
}
