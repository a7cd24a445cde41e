//! Client of a chat-completions server.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, StatusCode, header};
use thought_diary::{
    http::{BodyError, send},
    timeout::timeout,
};

use super::{
    error_reply, failure::Failure, features::RequestFeatures, phrases::Phrase, reply::parse_reply,
};
use crate::config::ModelConfig;

/// Largest reply that is read, in bytes.
const REPLY_LIMIT: usize = 256 * 1024;

/// Result of a call.
pub struct Completion {
    /// The phrases that the model named, which may not occur in the text, or the reason why there are none.
    pub phrases: Result<Vec<Phrase>, Failure>,
    /// The request features that the server accepted; `None` if it accepted none.
    pub features: Option<RequestFeatures>,
}

/// Requests the phrases of `text`, first with these `features`.
///
/// `limit` covers the whole call, including the repetitions with fewer features. A failed call is not retried here:
/// the text is stored with the lexicon's marks and analyzed again later.
pub async fn complete(
    config: &ModelConfig,
    text: &str,
    features: RequestFeatures,
    limit: Duration,
) -> Completion {
    match timeout(limit, request_reply(config, text, features)).await {
        Some(Ok((features, body))) => Completion {
            phrases: parse_reply(&body),
            features: Some(features),
        },
        failed => Completion {
            phrases: Err(failed.and_then(Result::err).unwrap_or(Failure::Timeout)),
            features: None,
        },
    }
}

/// Returns the body of a successful reply. Repeats the request with fewer features as long as the server rejects them.
async fn request_reply(
    config: &ModelConfig,
    text: &str,
    mut features: RequestFeatures,
) -> Result<(RequestFeatures, Vec<u8>), Failure> {
    loop {
        let answer = send(build_request(config, text, features)?)
            .await
            .map_err(Failure::from)?;
        let status = answer.status;
        let retry_after = if status.is_success() {
            None
        } else {
            answer.header(&header::RETRY_AFTER)
        };
        let body = match answer.body(REPLY_LIMIT).await {
            Ok(body) => body,
            Err(BodyError::TooLong) if status.is_success() => {
                return Err(Failure::Unusable("is too long"));
            }
            // The status of an error reply matters more than its body.
            Err(BodyError::TooLong) => Vec::new(),
            Err(BodyError::Incomplete) => return Err(Failure::Incomplete),
        };
        if status.is_success() {
            return Ok((features, body));
        }
        let rejected = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
        );
        features = rejected
            .then(|| features.without_rejected(&body))
            .flatten()
            .ok_or_else(|| {
                let pause = retry_after.and_then(|value| parse_retry_after(&value, Utc::now()));
                error_reply::from_status(status, pause, &body)
            })?;
    }
}

fn build_request(
    config: &ModelConfig,
    text: &str,
    features: RequestFeatures,
) -> Result<Request<Bytes>, Failure> {
    let body = features.request_body(&config.name, text);
    let (name, token) = &config.auth;
    Request::post(&config.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("thought-diary/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONTENT_LENGTH, body.len())
        .header(name, token)
        .body(body)
        .map_err(|_| Failure::Unreachable("the request could not be built".into()))
}

/// Parses `Retry-After`: a number of seconds or an HTTP date. A date in the past is zero seconds.
fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_retry_after_as_seconds_or_a_date() {
        let now = "2026-11-23T03:00:00Z".parse().expect("a time");
        let parse = |value: &str| parse_retry_after(value, now);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(parse(" 7 "), seconds(7));
        assert_eq!(parse("Mon, 23 Nov 2026 03:01:30 GMT"), seconds(90));
        assert_eq!(parse("Mon, 23 Nov 2026 02:59:00 GMT"), seconds(0));
        for invalid in ["", "-7", "soon", "1.5", "Mon, 99 Nov 2026 03:01:30 GMT"] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }
}
