//! Client of the sentiment component.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use thought_diary::{
    Request,
    deadline::within,
    http::{X_REQUEST_ID, read_answer},
    log::Level,
};

use crate::entry::Content;

const ADDRESS: &str = "http://sentiment.spin.internal/analyze";

/// What the sentiment component may take beyond the model's time, before the entry is stored without it.
const MARGIN: Duration = Duration::from_millis(1000);

/// Every character of an entry may be escaped, and JSON may escape that again.
const ANSWER_LIMIT: usize = 1024 * 1024;

#[derive(Serialize)]
struct Question<'a> {
    text: &'a str,
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
}

/// Has a text marked up. `None` when that fails for any reason: the entry is
/// stored all the same, and shown without marks.
pub async fn analyze(request: &Request, content: &Content, timeout: Duration) -> Option<Analysis> {
    let analysis = within(timeout + MARGIN, ask(request.id(), content)).await;
    if let Some(Some(analysis)) = analysis {
        return Some(analysis);
    }
    request.log(
        Level::Warn,
        match analysis {
            None => {
                "the sentiment component did not answer in time; the entry is stored without marks"
            }
            Some(_) => "the sentiment component failed; the entry is stored without marks",
        },
    );
    None
}

async fn ask(request_id: &str, content: &Content) -> Option<Analysis> {
    let question = serde_json::to_vec(&Question {
        text: content.as_str(),
    })
    .ok()?;
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(ADDRESS)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, question.len())
        .header(X_REQUEST_ID, request_id)
        .body(Full::new(Bytes::from(question)))
        .ok()?;
    let response = spin_sdk::http::send(request).await.ok()?;
    match read_answer(response, ANSWER_LIMIT).await? {
        (StatusCode::OK, body) => serde_json::from_slice(&body).ok(),
        _ => None,
    }
}
