//! The headers that every response carries.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Response as RawResponse};

use super::{
    body::{HostBody, body_stream},
    context::Visibility,
    peer,
    request::{Request, X_REQUEST_ID},
};
use crate::{config::HttpConfig, response::Response};

/// The content security policy of every response except the documentation page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Header in which a component tells its caller how long it waited for other servers.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds the common headers. An internal response gets `Content-Length` and `Server-Timing` only.
///
/// The length of a body that is produced while it is sent is not known.
pub(super) fn finish(
    response: &mut Response,
    request: Request,
    visibility: Visibility,
    is_streamed: bool,
) {
    let length = response.body().len();
    let has_body = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let headers = response.headers_mut();
    headers.extend(request.context.take_headers());
    if has_body && !is_streamed {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if visibility == Visibility::Internal {
        let timings = request.context.timings().to_header();
        if let Some(Ok(timings)) = timings.map(HeaderValue::try_from) {
            headers.insert(SERVER_TIMING, timings);
        }
        return;
    }
    if let Ok(id) = HeaderValue::try_from(request.context.request_id()) {
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
    if peer::is_https(&request.headers, request.config.trusted_proxy_hops) {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
    allow_origin(headers, &request.headers, request.config);
}

/// Allows pages of the configured origins to read the response.
fn allow_origin(headers: &mut HeaderMap, request: &HeaderMap, config: &HttpConfig) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    let mut origins = request.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return;
    };
    if !config.cors_origins.iter().any(|allowed| allowed == origin) {
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
            "Content-Type, Authorization, X-Request-Id, Idempotency-Key, If-Match, If-None-Match",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "ETag, Location, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Converts a response into the host's type. `streamed` takes the place of its body.
///
/// # Errors
/// When the host does not accept a header or the status. It accepts every one that the `http` crate accepts.
pub(super) async fn into_wasi_response(
    response: Response,
    streamed: Option<HostBody>,
) -> Result<RawResponse, ErrorCode> {
    let (parts, body) = response.into_parts();
    let headers = Fields::try_from(parts.headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (contents, trailers) = match streamed {
        Some(body) => body,
        None => body_stream(body).await,
    };
    let (raw, _sent) = RawResponse::new(headers, contents, trailers);
    raw.set_status_code(parts.status.as_u16())
        .map_err(|()| ErrorCode::InternalError(None))?;
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    #[test]
    fn echoes_configured_origins_only() {
        let config = HttpConfig {
            cors_origins: vec!["https://app.example".into()],
            ..HttpConfig::restrictive().clone()
        };
        let allowed = |origin| {
            let mut response = HeaderMap::new();
            allow_origin(&mut response, &headers(&[("origin", origin)]), &config);
            response.get("access-control-allow-origin").cloned()
        };
        assert!(allowed("https://app.example").is_some());
        assert!(allowed("https://app.example.evil").is_none());
        assert!(allowed("null").is_none());
    }
}
