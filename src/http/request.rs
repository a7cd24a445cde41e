//! The request, as the host gives it.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::de::DeserializeOwned;
use spin_sdk::wasip3::{http::types::Request as RawRequest, random::random::get_random_u64};

use super::{
    X_REQUEST_ID,
    body::{Unread, read},
    peer,
};
use crate::{Error, config::Common, deadline::within, log};

/// Bytes of a request body beyond which it is refused.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Time for a body to arrive. The host sets none, and a body that never ends
/// would keep its place in the instance.
const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// A request on its way through a component.
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    query: String,
    pub(super) headers: HeaderMap,
    /// Taken when the body is read.
    raw: Option<RawRequest>,
    pub(super) id: String,
    component: &'static str,
    pub(super) common: &'static Common,
    pub(super) answer_headers: HeaderMap,
}

impl Request {
    /// Takes over what the host gives. Headers that cannot be represented are left out.
    pub(super) fn new(raw: RawRequest, component: &'static str, common: &'static Common) -> Self {
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
        peer::client(&self.headers, self.common.trusted_proxy_hops)
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

    /// Reads the body up to [`BODY_LIMIT`] and [`BODY_DEADLINE`], and no further.
    async fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let Some(raw) = self.raw.take() else {
            return Ok(Vec::new());
        };
        let declared = declared_length(&self.headers)?;
        match within(BODY_DEADLINE, read(raw, declared, BODY_LIMIT)).await {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(Unread::TooLong)) => Err(Error::PayloadTooLarge),
            Some(Err(Unread::BrokeOff)) => Err(Error::invalid("body", "did not arrive whole")),
            None => Err(Error::invalid("body", "did not arrive in time")),
        }
    }
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

/// How long the body is said to be.
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
    let length =
        length.ok_or_else(|| Error::invalid("body", "has a Content-Length that is not valid"))?;
    // What is longer than any memory is too long, by whatever length.
    Ok(Some(length.try_into().unwrap_or(usize::MAX)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

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
}
