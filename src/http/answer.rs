//! Answers, and what every one carries.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Response as RawResponse};

use super::{Request, X_REQUEST_ID, body::offer, peer};
use crate::config::Common;

/// An answer whose body is there as a whole, so that it can say its `Content-Length`.
pub type Response = http::Response<Bytes>;

/// Content security policy of everything but the documentation page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Who sees a component's answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Audience {
    /// Any client, browsers among them.
    Everyone,
    /// Our other components, who need nothing that protects a browser.
    Components,
}

/// Adds what every answer carries.
pub(super) fn complete(response: &mut Response, request: Request, audience: Audience) {
    let length = response.body().len();
    let has_body = response.status() != StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.extend(request.answer_headers);
    if has_body {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if audience == Audience::Components {
        return;
    }
    if let Ok(id) = HeaderValue::try_from(request.id) {
        headers.insert(X_REQUEST_ID, id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if peer::came_over_tls(&request.headers, request.common.trusted_proxy_hops) {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
    allow_origin(headers, &request.headers, request.common);
}

/// Lets browsers of the listed origins read the answer.
fn allow_origin(headers: &mut HeaderMap, request: &HeaderMap, common: &Common) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    let mut origins = request.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return;
    };
    if !common.cors_origins.iter().any(|listed| listed == origin) {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Authorization, X-Request-Id",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Location, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Gives an answer to the host.
///
/// # Errors
/// None that we know of: the host takes every header that `http` takes.
pub(super) async fn hand_over(response: Response) -> Result<RawResponse, ErrorCode> {
    let (parts, body) = response.into_parts();
    let headers = Fields::try_from(parts.headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (contents, trailers) = offer(body).await;
    let (raw, _sent) = RawResponse::new(headers, contents, trailers);
    raw.set_status_code(parts.status.as_u16())
        .map_err(|()| ErrorCode::InternalError(None))?;
    Ok(raw)
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Serializing fails only for maps with keys that are not strings, which none of ours has.
    raw_json(status, serde_json::to_vec(body).unwrap_or_default())
}

/// An answer whose body is JSON already.
pub fn raw_json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// The answer 204.
pub fn no_content() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    #[test]
    fn only_listed_origins_are_echoed() {
        let common = Common {
            cors_origins: vec!["https://app.example".into()],
            ..Common::bare().clone()
        };
        let allowed = |origin| {
            let mut answer = HeaderMap::new();
            allow_origin(&mut answer, &headers(&[("origin", origin)]), &common);
            answer.get("access-control-allow-origin").cloned()
        };
        assert!(allowed("https://app.example").is_some());
        assert!(allowed("https://app.example.evil").is_none());
        assert!(allowed("null").is_none());
    }
}
