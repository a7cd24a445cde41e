//! Responses with a complete body.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A response whose whole body is in memory, so that it can carry `Content-Length`.
pub type Response = http::Response<Bytes>;

/// Builds a JSON response from a value.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Serialization fails only for maps with keys that are not strings. No response has one.
    raw_json(status, serde_json::to_vec(body).unwrap_or_default())
}

/// Builds a JSON response from JSON text.
pub fn raw_json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Builds a response of JSON lines, whose body is set by [`Context::set_body`].
///
/// [`Context::set_body`]: crate::http::Context::set_body
pub fn json_lines() -> Response {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    response
}

/// Builds a response in Prometheus's text format.
pub fn prometheus_text(text: String) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

/// Builds a 304 response: the client's copy is current.
pub fn not_modified() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// Builds a 204 response.
pub fn no_content() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
