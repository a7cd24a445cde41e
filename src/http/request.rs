//! The request, and how handler parameters are extracted from it.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::de::DeserializeOwned;
use spin_sdk::wasip3::{http::types::Request as RawRequest, random::random::get_random_u64};

use super::{
    body::{BodyError, Lines, discard, read},
    context::{Context, Visibility},
    trace::{TRACEPARENT, TraceParent, X_TRACEPARENT},
};
use crate::{config::HttpConfig, error::Error, timeout::timeout};

/// Name of the header with the request's id, which is also in the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a client's request body, in bytes.
const PUBLIC_BODY_LIMIT: usize = 64 * 1024;

/// Maximum length of a request body from another component, in bytes. Such a
/// body contains a client's text, so it must be able to hold every accepted one.
const INTERNAL_BODY_LIMIT: usize = 4 * PUBLIC_BODY_LIMIT;

/// Time for a whole body to arrive. The host sets no limit, and a body that
/// never ends would occupy one of the instance's 16 slots forever.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum length of a body that is read only to be dropped, in bytes.
const DISCARD_LIMIT: usize = 4 * 1024 * 1024;

/// Time for such a body to arrive.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// A parameter of a handler, extracted from the request.
pub trait FromRequest: Sized {
    /// Extracts the value.
    #[expect(async_fn_in_trait, reason = "components have one thread")]
    async fn from_request(request: &mut Request) -> Result<Self, Error>;
}

/// A request that is being handled.
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    query: String,
    pub(super) headers: HeaderMap,
    /// Taken when the body is read. Shared with [`Body`].
    raw: Rc<Cell<Option<RawRequest>>>,
    pub(super) context: Context,
    pub(super) config: &'static HttpConfig,
    visibility: Visibility,
    /// The pattern that matched the path; empty until one has.
    pub(super) route: &'static str,
    /// The path segment that matched `{…}` in the pattern.
    pub(super) parameter: String,
}

impl Request {
    /// Converts the host's request. Headers that the `http` crate cannot represent are dropped.
    pub(super) fn new(
        raw: RawRequest,
        component: &'static str,
        config: &'static HttpConfig,
        visibility: Visibility,
    ) -> Self {
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
        let traceparent = match visibility {
            Visibility::Public => TRACEPARENT,
            Visibility::Internal => X_TRACEPARENT,
        };
        let trace = TraceParent::from_header(&headers, &traceparent);
        Self {
            // No route handles CONNECT, so an invalid method gets 405 or 404.
            method: raw.get_method().try_into().unwrap_or(Method::CONNECT),
            path: path.to_owned(),
            query: query.to_owned(),
            context: Context::new(component, request_id(&headers), trace),
            headers,
            raw: Rc::new(Cell::new(Some(raw))),
            config,
            visibility,
            route: "",
            parameter: String::new(),
        }
    }

    /// Returns the method. HEAD is returned as GET: the host removes the body of the response.
    pub(super) fn method(&self) -> &Method {
        match self.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        }
    }

    /// Returns the path segment that matched `{…}` in the route's pattern, not percent-decoded.
    pub fn parameter(&self) -> &str {
        &self.parameter
    }

    /// Returns the query's pairs in order, percent-decoded.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned()
    }

    /// Returns the headers. Those that Spin adds come last.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads a body that no handler has read, and drops it.
    ///
    /// Otherwise the host closes the connection after the response. Bytes of the body that arrive then reset it, and
    /// the client, or a proxy in front, may lose the response.
    pub(super) async fn discard_body(&self) {
        if let (Some(raw), Ok(Some(length @ 1..=DISCARD_LIMIT))) =
            (self.raw.take(), declared_length(&self.headers))
        {
            // The response is the same if it does not arrive.
            let _ = timeout(DISCARD_TIMEOUT, discard(raw, length)).await;
        }
    }

    /// Returns the context, which handlers receive as a parameter.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl FromRequest for Context {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Ok(request.context.clone())
    }
}

/// A request's body, not read yet.
pub struct Body {
    raw: Rc<Cell<Option<RawRequest>>>,
    limit: usize,
    is_json: bool,
    is_json_lines: bool,
    declared_length: Result<Option<usize>, Error>,
}

impl FromRequest for Body {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Ok(Self {
            raw: Rc::clone(&request.raw),
            limit: match request.visibility {
                Visibility::Public => PUBLIC_BODY_LIMIT,
                Visibility::Internal => INTERNAL_BODY_LIMIT,
            },
            is_json: has_type(&request.headers, "application/json"),
            is_json_lines: has_type(&request.headers, "application/x-ndjson"),
            declared_length: declared_length(&request.headers),
        })
    }
}

impl Body {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `unsupported_media_type` when its declared type is not JSON,
    /// `payload_too_large` when it is too long, and `validation_error` when it
    /// is not JSON or does not have the shape of `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        if !self.is_json {
            return Err(Error::UnsupportedMediaType);
        }
        parse_object(&self.bytes().await?)
    }

    /// Returns the body for reading line by line. Its total length is not limited.
    ///
    /// # Errors
    /// `unsupported_media_type` when its declared type is not `application/x-ndjson`.
    pub fn json_lines(self) -> Result<Option<Lines>, Error> {
        if !self.is_json_lines {
            return Err(Error::UnsupportedMediaType);
        }
        Ok(self.raw.take().map(Lines::new))
    }

    /// Reads the body within [`BODY_TIMEOUT`].
    async fn bytes(self) -> Result<Vec<u8>, Error> {
        let declared = self.declared_length?;
        if declared.is_some_and(|length| length > self.limit) {
            return Err(Error::PayloadTooLarge);
        }
        let Some(raw) = self.raw.take() else {
            return Ok(Vec::new());
        };
        match timeout(BODY_TIMEOUT, read(raw, declared, self.limit)).await {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(BodyError::TooLong)) => Err(Error::PayloadTooLarge),
            Some(Err(BodyError::Incomplete)) => Err(Error::invalid("body", "is incomplete")),
            None => Err(Error::invalid("body", "did not arrive within 15 seconds")),
        }
    }
}

/// Parses a JSON object. Serde would also accept an array of the fields' values in order; the API does not.
fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // The whole body is checked, because serde does not check strings that it skips.
    let text = str::from_utf8(bytes).map_err(|_| Error::invalid("body", "is not valid UTF-8"))?;
    let reason = match serde_json::from_str(text) {
        Ok(parsed) if text.trim_ascii_start().starts_with('{') => return Ok(parsed),
        Err(error) if error.classify() != serde_json::error::Category::Data => "is not valid JSON",
        _ => "must be a JSON object with each key once",
    };
    Err(Error::invalid("body", reason))
}

/// Returns the value of `Content-Length`.
fn declared_length(headers: &HeaderMap) -> Result<Option<usize>, Error> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u64>().ok()),
        _ => None,
    };
    let length = length.ok_or_else(|| Error::invalid("body", "has an invalid Content-Length"))?;
    // A length beyond the address space is clamped: it is too long either way.
    Ok(Some(length.try_into().unwrap_or(usize::MAX)))
}

/// Returns the request's own id if it is valid, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_valid_request_id(id))
        .map_or_else(|| format!("{:016x}", get_random_u64()), str::to_owned)
}

fn is_valid_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn has_type(headers: &HeaderMap, expected: &str) -> bool {
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
    plain && essence.eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    #[test]
    fn accepts_valid_request_ids_only() {
        assert!(is_valid_request_id("0192-abc_DEF.7:1"));
        for bad in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_valid_request_id(bad), "{bad:?}");
        }
    }

    fn is_json(headers: HeaderMap) -> bool {
        has_type(&headers, "application/json")
    }

    #[test]
    fn recognizes_json_by_its_media_type() {
        for (content_type, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(
                is_json(headers(&[("content-type", content_type)])),
                expected,
                "{content_type}"
            );
        }
        assert!(!is_json(headers(&[])));
        assert!(!is_json(headers(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip")
        ])));
    }

    #[test]
    fn fuzz_json_bodies() {
        bolero::check!().for_each(|body: &[u8]| {
            let parsed = parse_object::<serde_json::Map<String, serde_json::Value>>(body);
            if let Ok(object) = parsed {
                assert_eq!(
                    serde_json::from_slice::<serde_json::Value>(body).ok(),
                    Some(object.into())
                );
            }
        });
    }

    #[test]
    fn accepts_json_objects_only() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Shape {
            a: u8,
        }
        let reason = |body: &str| match parse_object::<Shape>(body.as_bytes()) {
            Err(Error::Validation(details)) => details["body"][0].to_string(),
            other => panic!("{body} should be invalid, got {other:?}"),
        };
        assert_eq!(parse_object(b" {\"a\": 1}"), Ok(Shape { a: 1 }));
        for wrong in ["[1]", "1", "{\"a\":1,\"a\":2}", "{\"a\":[]}", "{}"] {
            assert_eq!(
                reason(wrong),
                "must be a JSON object with each key once",
                "{wrong}"
            );
        }
        for broken in ["", "{", "{\"a\":1}}", "\u{feff}{\"a\":1}"] {
            assert_eq!(reason(broken), "is not valid JSON", "{broken}");
        }
    }
}
