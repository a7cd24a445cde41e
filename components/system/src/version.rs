//! `GET /version`.

use http::StatusCode;
use serde::Serialize;
use thought_diary::{Response, http::json};

#[derive(Serialize)]
struct Version {
    version: &'static str,
    api_level: &'static str,
}

/// The version of this build, and of the contract it keeps.
pub fn version() -> Response {
    json(
        StatusCode::OK,
        &Version {
            version: env!("CARGO_PKG_VERSION"),
            api_level: "v1",
        },
    )
}
