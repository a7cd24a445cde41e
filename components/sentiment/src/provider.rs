//! Asks a chat-completions server for the emotional phrases of a text.

mod dialect;
mod failure;
mod reply;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use spin_sdk::http::{Response, send};
use thought_diary::{deadline::within, http::read_answer};

use crate::{circuit, config::Model, markup::Polarity};
use dialect::Dialect;
pub use failure::Failure;

/// Bytes of an answer beyond which it is not read.
const ANSWER_LIMIT: usize = 256 * 1024;

/// A phrase that a model found in a text, in the model's spelling, and its polarity. Never to be shown to anybody.
pub type Phrase = (String, Polarity);

/// The phrases of `text` that `model` names, which need not be in the text.
///
/// The model's timeout covers all of it, the tries in simpler dialects included.
///
/// # Errors
/// Whatever kept the model from answering usefully. Where it will go on doing
/// so, the model is left alone for a while, and the failure is [`Failure::Paused`].
pub async fn phrases(model: &Model, text: &str) -> Result<Vec<Phrase>, Failure> {
    if circuit::is_open() {
        return Err(Failure::Paused);
    }
    let outcome = within(model.timeout, converse(model, text)).await;
    let outcome = outcome.unwrap_or(Err(Failure::Timeout));
    if let Some(pause) = outcome.as_ref().err().and_then(Failure::pause) {
        let known = circuit::is_open();
        circuit::open(pause);
        if known {
            // Requests that were under way together need not all say so in the log.
            return Err(Failure::Paused);
        }
    }
    outcome
}

/// Asks, in simpler and simpler dialects as long as the server refuses them.
async fn converse(model: &Model, text: &str) -> Result<Vec<Phrase>, Failure> {
    let mut dialect = Dialect::known();
    loop {
        let response = send(request(model, text, dialect)?)
            .await
            .map_err(Failure::from)?;
        let retry_after = retry_after(&response);
        let Some((status, body)) = read_answer(response, ANSWER_LIMIT).await else {
            return Err(Failure::Unreadable);
        };
        if status.is_success() {
            dialect.remember();
            return reply::phrases(&body);
        }
        let refused = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
        );
        dialect = refused
            .then(|| dialect.simpler(&body))
            .flatten()
            .ok_or(Failure::Status {
                status,
                retry_after,
            })?;
    }
}

fn request(model: &Model, text: &str, dialect: Dialect) -> Result<Request<Full<Bytes>>, Failure> {
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
        .body(Full::new(body))
        .map_err(|_| Failure::Unreachable("the request could not be built".into()))
}

fn retry_after(response: &Response) -> Option<Duration> {
    seconds(response.headers())
}

/// `Retry-After` in seconds; the date that it may be instead is not used by any model server.
fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
