//! From a raw request to an answer that carries all that every answer must carry.

use std::{
    net::{IpAddr, SocketAddr},
    ops::AsyncFnOnce,
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde::{Serialize, de::DeserializeOwned};
use spin_sdk::{
    http::{IntoResponse, body::IncomingBodyExt as _},
    wasip3::{
        http::types::{ErrorCode, Request as RawRequest, Response as RawResponse},
        http_compat::IncomingRequestBody,
        random::random::get_random_u64,
    },
};

use crate::{Error, config::Common, log};

/// An answer whose body is there as a whole, so that it can say its `Content-Length`.
pub type Response = http::Response<Bytes>;

/// Bytes of a request body beyond which it is refused.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Content security policy of everything but the documentation page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The header that ties a client's request to our log lines.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way through a component.
pub struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    /// Taken when the body is read.
    raw: Option<RawRequest>,
    id: String,
    component: &'static str,
    common: &'static Common,
    answer_headers: HeaderMap,
}

impl Request {
    /// Takes over what the host gives. Headers that cannot be represented are left out.
    fn new(raw: RawRequest, component: &'static str, common: &'static Common) -> Self {
        let target = raw.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let headers: HeaderMap = raw
            .get_headers()
            .copy_all()
            .into_iter()
            .filter_map(|(name, value)| {
                Some((
                    HeaderName::from_bytes(name.as_bytes()).ok()?,
                    HeaderValue::from_maybe_shared(Bytes::from(value)).ok()?,
                ))
            })
            .collect();
        Self {
            // A method that is no method is one that no route takes.
            method: raw.get_method().try_into().unwrap_or(Method::CONNECT),
            path: path.to_owned(),
            query: query.to_owned(),
            id: request_id(&headers),
            headers,
            raw: Some(raw),
            component,
            common,
            answer_headers: HeaderMap::new(),
        }
    }

    /// The method, with HEAD read as GET: the host leaves the body of the answer out.
    pub fn method(&self) -> &Method {
        match self.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        }
    }

    /// The path split at its slashes: `/a/b` is `["a", "b"]`. Not percent-decoded, as no route needs it.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').skip(1).collect()
    }

    /// The query's pairs in order, percent-decoded.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned()
    }

    /// The request's own headers; those that Spin adds come last.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What `X-Request-Id` of the answer will say.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The address that limits are counted by, as `trusted_proxy_hops` has it.
    pub fn client(&self) -> IpAddr {
        client(&self.headers, self.common.trusted_proxy_hops)
    }

    /// Sets a header that the answer will carry, whether the handler succeeds or fails.
    pub fn answer_with(&mut self, name: HeaderName, value: impl Into<HeaderValue>) {
        self.answer_headers.insert(name, value.into());
    }

    /// Writes a line to the log under this request's id.
    pub fn log(&self, level: log::Level, message: &str) {
        log::write(level, self.component, &self.id, message);
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `unsupported_media_type` when it is said to be something else,
    /// `payload_too_large` past [`BODY_LIMIT`], and `validation_error` when it
    /// is not JSON or does not have the shape of `T`.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        if !is_json(&self.headers) {
            return Err(Error::UnsupportedMediaType);
        }
        let bytes = self.bytes().await?;
        parse_object(&bytes)
    }

    /// Reads the body up to [`BODY_LIMIT`], and no further.
    async fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        if declared_length(&self.headers).is_some_and(|length| length > BODY_LIMIT as u128) {
            return Err(Error::PayloadTooLarge);
        }
        let mut bytes = Vec::new();
        let Some(raw) = self.raw.take() else {
            return Ok(bytes);
        };
        // The SDK refuses lengths that it cannot represent, and contradicting ones.
        let mut body = IncomingRequestBody::new(raw)
            .map_err(|_| Error::invalid("body", "has a Content-Length that is not valid"))?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::invalid("body", "did not arrive whole"))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > BODY_LIMIT {
                    return Err(Error::PayloadTooLarge);
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes)
    }
}

/// Makes a route table the component's entry point: `component!("auth", route)`.
///
/// Like the SDK's `http_service`, but it takes the request as the host gives
/// it: what the SDK cannot represent must get an answer too, not a bare 500.
#[macro_export]
macro_rules! component {
    ($name:literal, $route:path) => {
        struct Component;

        ::spin_sdk::wasip3::http::service::export!(Component);

        impl ::spin_sdk::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: ::spin_sdk::wasip3::http::types::Request,
            ) -> Result<
                ::spin_sdk::wasip3::http::types::Response,
                ::spin_sdk::wasip3::http::types::ErrorCode,
            > {
                $crate::http::serve(request, $name, async |request| $route(request).await).await
            }
        }
    };
}

/// Handles one request: reads it, runs the route table, and completes the answer.
///
/// A preflight is answered here, before any route or authentication. An answer
/// is always given: there is no way from a bad request or setting to a trap.
pub async fn serve(
    raw: RawRequest,
    component: &'static str,
    route: impl AsyncFnOnce(&mut Request) -> Result<Response, Error>,
) -> Result<RawResponse, ErrorCode> {
    let (common, misconfigured) = match Common::get().await {
        Ok(common) => (common, None),
        Err(error) => (Common::bare(), Some(error)),
    };
    let mut request = Request::new(raw, component, common);
    let outcome = match misconfigured {
        Some(error) => Err(error),
        None if request.method == Method::OPTIONS => Ok(no_content()),
        None => route(&mut request).await,
    };
    let mut response = outcome.unwrap_or_else(|error| {
        if let Some(cause) = error.cause() {
            request.log(log::Level::Error, cause);
        }
        error.into()
    });
    if log::enabled(log::Level::Debug) {
        let Request { method, path, .. } = &request;
        let status = response.status().as_u16();
        request.log(log::Level::Debug, &format!("{method} {path} {status}"));
    }
    complete(&mut response, request);
    response.map(Full::new).into_response()
}

/// Adds what every answer carries.
fn complete(response: &mut Response, request: Request) {
    let length = response.body().len();
    let has_body = response.status() != StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.extend(request.answer_headers);
    if has_body {
        headers.insert(header::CONTENT_LENGTH, length.into());
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
    if came_over_tls(&request.headers, request.common.trusted_proxy_hops) {
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

/// A time as the contract writes it: RFC 3339, UTC, milliseconds, `Z`.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses a JSON object. An array of the same values in order would do for serde, but not for us.
fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // As a whole, since values that are skipped over would not be looked at.
    let text = str::from_utf8(bytes).map_err(|_| Error::invalid("body", "is not valid UTF-8"))?;
    let reason = match serde_json::from_str(text) {
        Ok(parsed) if text.trim_ascii_start().starts_with('{') => return Ok(parsed),
        Err(error) if error.classify() != serde_json::error::Category::Data => "is not valid JSON",
        _ => "must be a JSON object with each key once",
    };
    Err(Error::invalid("body", reason))
}

fn declared_length(headers: &HeaderMap) -> Option<u128> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The request's own id when it is a sane one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane_id(id))
        .map_or_else(|| format!("{:016x}", get_random_u64()), str::to_owned)
}

fn is_sane_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn is_json(headers: &HeaderMap) -> bool {
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = media_type
        .to_str()
        .ok()
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    plain && essence.eq_ignore_ascii_case("application/json")
}

/// A header's last value. Spin appends its own headers after the client's, so that only the last is Spin's.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()
}

/// The `hops`-th element from the right of a list that may be spread over several header lines.
fn from_right<'a>(headers: &'a HeaderMap, name: &str, hops: usize) -> Option<&'a str> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(','))
        .map(str::trim)
        .nth(hops.checked_sub(1)?)
}

/// The client's address: what the outermost trusted proxy saw, or else the peer's.
fn client(headers: &HeaderMap, hops: usize) -> IpAddr {
    from_right(headers, "x-forwarded-for", hops)
        .and_then(parse_address)
        .or_else(|| parse_address(last(headers, "spin-client-addr")?))
        .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse())
        .map(|address| address.to_canonical())
        .ok()
}

fn came_over_tls(headers: &HeaderMap, hops: usize) -> bool {
    last(headers, "spin-full-url").is_some_and(|url| url.starts_with("https://"))
        || hops > 0
            && from_right(headers, "x-forwarded-proto", hops)
                .or_else(|| from_right(headers, "x-forwarded-proto", 1))
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Reads the answer to a call of ours, with a body of at most `limit` bytes; `None` when it is larger or breaks off.
pub async fn read_answer(
    response: spin_sdk::http::Response,
    limit: usize,
) -> Option<(StatusCode, Vec<u8>)> {
    let status = response.status();
    Some((status, read_body(response, limit).await.ok()?))
}

/// Why the body of an answer was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unread {
    /// It has more bytes than we care for.
    TooLong,
    /// The other side ended it early.
    BrokeOff,
}

/// Reads the body of the answer to a call of ours, at most `limit` bytes.
///
/// # Errors
/// Why it was not read.
pub async fn read_body(
    response: spin_sdk::http::Response,
    limit: usize,
) -> Result<Vec<u8>, Unread> {
    let mut stream = response.into_body().stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
        let chunk = chunk.map_err(|_| Unread::BrokeOff)?;
        if bytes.len() + chunk.len() > limit {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn a_forged_peer_address_comes_first_and_is_not_believed() {
        let forged = headers(&[
            ("spin-client-addr", "1.2.3.4:1"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        assert_eq!(client(&forged, 0).to_string(), "127.0.0.1");
    }

    #[test]
    fn proxies_are_trusted_from_the_right_and_no_further() {
        let forwarded = headers(&[
            ("x-forwarded-for", "6.6.6.6, 10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        let at = |hops| client(&forwarded, hops).to_string();
        assert_eq!(at(0), "127.0.0.1");
        assert_eq!(at(1), "10.0.0.2");
        assert_eq!(at(2), "10.0.0.1");
        assert_eq!(at(9), "127.0.0.1");
    }

    #[test]
    fn addresses_come_with_and_without_ports() {
        let parsed = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(parsed("10.0.0.1:80").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("[2001:db8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("unknown"), None);
    }

    #[test]
    fn tls_is_believed_of_spin_and_of_trusted_proxies_only() {
        assert!(came_over_tls(
            &headers(&[("spin-full-url", "https://a/")]),
            0
        ));
        let proxied = headers(&[
            ("spin-full-url", "https://forged/"),
            ("spin-full-url", "http://a/"),
            ("x-forwarded-proto", "https"),
        ]);
        assert!(!came_over_tls(&proxied, 0));
        assert!(came_over_tls(&proxied, 1));
        assert!(came_over_tls(&proxied, 2));
    }

    #[test]
    fn only_sane_request_ids_are_taken_over() {
        assert!(is_sane_id("0192-abc_DEF.7:1"));
        for bad in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_sane_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn json_is_asked_for_by_its_media_type() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(
                is_json(&headers(&[("content-type", content_type)])),
                expected,
                "{content_type}"
            );
        }
        assert!(!is_json(&headers(&[])));
        assert!(!is_json(&headers(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip")
        ])));
    }

    #[test]
    fn a_body_is_an_object() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Shape {
            a: u8,
        }
        let reason = |body: &str| match parse_object::<Shape>(body.as_bytes()) {
            Err(Error::Validation(details)) => details["body"][0].to_string(),
            other => panic!("{body} should be refused, not {other:?}"),
        };
        assert_eq!(parse_object(b" {\"a\": 1}"), Ok(Shape { a: 1 }));
        for wrong in ["[1]", "1", "{\"a\":1,\"a\":2}", "{\"a\":[]}", "{}"] {
            assert!(reason(wrong).contains("object"), "{wrong}");
        }
        for broken in ["", "{", "{\"a\":1}}", "\u{feff}{\"a\":1}"] {
            assert!(reason(broken).contains("not valid JSON"), "{broken}");
        }
    }

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
