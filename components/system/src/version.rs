//! `GET /version`.

use http::StatusCode;
use serde::Serialize;
use thought_diary::{Error, Response, response::json};

#[derive(Serialize)]
struct Version {
    version: &'static str,
    api_level: &'static str,
}

/// `GET /version`: the version of this build, and the level of the API.
pub async fn version() -> Result<Response, Error> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        api_level: "v1",
    };
    Ok(json(StatusCode::OK, &version))
}
