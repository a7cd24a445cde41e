//! A client of the sentiment component.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use thought_diary::{
    analysis::{Analysis, AnalyzeRequest},
    http::{Context, X_REQUEST_ID, send},
    log::Level,
    timeout::timeout,
};

use crate::{config::Config, entry::Content};

const URL: &str = "http://sentiment.spin.internal/analyze";

/// Time that the sentiment component gets in addition to the model's timeout.
const MARGIN: Duration = Duration::from_secs(2);

/// Maximum length of a response, in bytes. HTML and JSON may each escape every character of an entry.
const RESPONSE_LIMIT: usize = 1024 * 1024;

/// Analyzes a text. If that fails for any reason, logs a warning and returns
/// `None`: the entry is stored without marks.
pub async fn analyze(context: &Context, config: &Config, content: &Content) -> Option<Analysis> {
    let body = AnalyzeRequest {
        text: content.as_str().to_owned(),
        cache_key: Some(config.keys.digest("sentiment", content.as_str())),
    };
    let response = post(context.request_id(), &body);
    let warning = match timeout(config.model_timeout + MARGIN, response).await {
        Some(Some(analysis)) => return Some(analysis),
        Some(None) => "the sentiment component failed; the entry has no marks",
        None => "the sentiment component did not answer in time; the entry has no marks",
    };
    context.log(Level::Warn, warning);
    None
}

async fn post(request_id: &str, body: &AnalyzeRequest) -> Option<Analysis> {
    let body = serde_json::to_vec(body).ok()?;
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(URL)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(X_REQUEST_ID, request_id)
        .body(Bytes::from(body))
        .ok()?;
    let response = send(request).await.ok()?;
    if response.status != StatusCode::OK {
        return None;
    }
    serde_json::from_slice(&response.body(RESPONSE_LIMIT).await.ok()?).ok()
}
