//! Asks a chat-completions server for the emotional phrases of a text.

mod dialect;
mod failure;
mod refusal;
mod reply;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, StatusCode, header};
use thought_diary::{
    http::{BodyError, send},
    timeout::timeout,
};

use crate::{config::Model, markup::Polarity};
pub use dialect::{Dialect, PROMPT_VERSION};
pub use failure::Failure;

/// Bytes of an answer beyond which it is not read.
const ANSWER_LIMIT: usize = 256 * 1024;

/// A phrase that a model found in a text, in the model's spelling, and its polarity. Never to be shown to anybody.
pub type Phrase = (String, Polarity);

/// What came of a call.
pub struct Called {
    /// The phrases that the model names, which need not be in the text, or what kept it from answering usefully.
    pub phrases: Result<Vec<Phrase>, Failure>,
    /// The dialect that the server understood; `None` when it did not come to that.
    pub dialect: Option<Dialect>,
}

/// Asks `model` for the phrases of `text`, in this dialect to begin with.
///
/// `limit` covers all of it, the tries in simpler dialects included. A call that
/// fails is not tried again: the entry is, later.
pub async fn phrases(model: &Model, text: &str, dialect: Dialect, limit: Duration) -> Called {
    match timeout(limit, converse(model, text, dialect)).await {
        Some(Ok((dialect, body))) => Called {
            phrases: reply::phrases(&body),
            dialect: Some(dialect),
        },
        failed => Called {
            phrases: Err(failed.and_then(Result::err).unwrap_or(Failure::Timeout)),
            dialect: None,
        },
    }
}

/// The body of a successful answer. Asks in simpler and simpler dialects as long as the server refuses them.
async fn converse(
    model: &Model,
    text: &str,
    mut dialect: Dialect,
) -> Result<(Dialect, Vec<u8>), Failure> {
    loop {
        let answer = send(request(model, text, dialect)?)
            .await
            .map_err(Failure::from)?;
        let status = answer.status;
        let retry_after = if status.is_success() {
            None
        } else {
            answer.header(&header::RETRY_AFTER)
        };
        let body = match answer.body(ANSWER_LIMIT).await {
            Ok(body) => body,
            Err(BodyError::TooLong) if status.is_success() => {
                return Err(Failure::Unusable("is too long"));
            }
            // How an error goes on matters less than that it is one.
            Err(BodyError::TooLong) => Vec::new(),
            Err(BodyError::Incomplete) => return Err(Failure::BrokeOff),
        };
        if status.is_success() {
            dialect.remember();
            return Ok((dialect, body));
        }
        let refused = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
        );
        dialect = refused
            .then(|| dialect.simpler(&body))
            .flatten()
            .ok_or_else(|| {
                let wish = retry_after.and_then(|value| parse_retry_after(&value, Utc::now()));
                refusal::failure(status, wish, &body)
            })?;
    }
}

fn request(model: &Model, text: &str, dialect: Dialect) -> Result<Request<Bytes>, Failure> {
    let body = dialect.request(&model.name, text);
    let (name, token) = &model.auth;
    Request::post(&model.url)
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

/// `Retry-After`, which is a number of seconds or a date. A date that has passed leaves no time.
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
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-23T03:00:00Z".parse().expect("a time");
        let read = |value: &str| parse_retry_after(value, now);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(read(" 7 "), seconds(7));
        assert_eq!(read("Mon, 23 Nov 2026 03:01:30 GMT"), seconds(90));
        assert_eq!(read("Mon, 23 Nov 2026 02:59:00 GMT"), seconds(0));
        for nonsense in ["", "-7", "soon", "1.5", "Mon, 99 Nov 2026 03:01:30 GMT"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
