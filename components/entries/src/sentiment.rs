//! Client of the sentiment component.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use thought_diary::{
    Request,
    deadline::within,
    http::{X_REQUEST_ID, send},
    log::Level,
};

use crate::{config::Config, entry::Content};

const ADDRESS: &str = "http://sentiment.spin.internal/analyze";

/// What the sentiment component may take beyond the model's time, before the entry is stored without it.
const MARGIN: Duration = Duration::from_secs(2);

/// Every character of an entry may be escaped, and JSON may escape that again.
const ANSWER_LIMIT: usize = 1024 * 1024;

#[derive(Serialize)]
struct Question<'a> {
    text: &'a str,
    /// Under which the model's marks may be kept: tells nothing about the text to who does not have our secret.
    cache_key: String,
}

/// Who marked the phrases.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Analyst {
    /// The language model.
    Model,
    /// The built-in word list.
    Lexicon,
}

impl Analyst {
    /// As in the column `analyzed_by`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Lexicon => "lexicon",
        }
    }
}

/// Why the model did not mark the phrases.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// None is configured.
    NoModel,
    /// It cannot be used now, for this text or any other.
    Unavailable,
    /// It has nothing to say about this text: another try soon will not help, but other texts may fare well.
    Unusable,
}

impl Fallback {
    /// As the function `analysis_due_at` in `migrations/` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoModel => "no_model",
            Self::Unavailable => "unavailable",
            Self::Unusable => "unusable",
        }
    }
}

/// An entry's text, marked up: safe HTML, and the numbers of its two kinds of spans.
#[derive(Debug, Deserialize)]
pub struct Analysis {
    /// The text, escaped, with spans as its only tags.
    pub analyzed_content: String,
    /// Spans of class `positive`.
    pub positive_count: i32,
    /// Spans of class `negative`.
    pub negative_count: i32,
    /// Who marked them.
    pub analyzed_by: Analyst,
    /// Why not the model.
    pub fallback: Option<Fallback>,
}

/// Has a text marked up. `None`, with a line in the log, when that fails for any
/// reason: the entry is kept all the same, and shown without marks.
pub async fn analyze(request: &Request, config: &Config, content: &Content) -> Option<Analysis> {
    let question = Question {
        text: content.as_str(),
        cache_key: config.keys.digest("sentiment", content.as_str()),
    };
    let answer = ask(request.id(), &question);
    let analysis = within(config.model_timeout + MARGIN, answer).await;
    if let Some(Some(analysis)) = analysis {
        return Some(analysis);
    }
    request.log(
        Level::Warn,
        match analysis {
            None => "the sentiment component did not answer in time; the entry stays without marks",
            Some(_) => "the sentiment component failed; the entry stays without marks",
        },
    );
    None
}

async fn ask(request_id: &str, question: &Question<'_>) -> Option<Analysis> {
    let question = serde_json::to_vec(question).ok()?;
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(ADDRESS)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, question.len())
        .header(X_REQUEST_ID, request_id)
        .body(Bytes::from(question))
        .ok()?;
    let answer = send(request).await.ok()?;
    if answer.status != StatusCode::OK {
        return None;
    }
    serde_json::from_slice(&answer.body(ANSWER_LIMIT).await.ok()?).ok()
}
