//! A client of the sentiment component.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use thought_diary::{
    analysis::{Analysis, AnalyzeRequest, ModelUse},
    http::{Context, SERVER_TIMING, X_REQUEST_ID, X_TRACEPARENT, send},
    log::Level,
    timeout::timeout,
};

use crate::{config::Config, entry::Content};

const URL: &str = "http://sentiment.spin.internal/analyze";

/// Maximum length of a response, in bytes. HTML and JSON may each escape every character of an entry.
const RESPONSE_LIMIT: usize = 1024 * 1024;

/// The reason why there is no analysis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The component failed on this text. Other texts may succeed.
    Text,
    /// The component is unreachable or too slow.
    Unavailable,
}

/// Analyzes a text.
///
/// # Errors
/// When the component fails for any reason; a warning is logged then. The
/// caller stores the entry without marks.
pub async fn analyze(
    context: &Context,
    config: &Config,
    content: &Content,
    model: ModelUse,
) -> Result<Analysis, Failure> {
    let body = AnalyzeRequest {
        text: content.as_str().to_owned(),
        cache_key: Some(config.keys.digest("sentiment", content.as_str())),
        model,
    };
    let response = post(context, &body);
    let result = timeout(config.sentiment_timeout(), response)
        .await
        .unwrap_or(Err(Failure::Unavailable));
    if let Err(failure) = result {
        let warning = match failure {
            Failure::Text => "the sentiment component failed on a text",
            Failure::Unavailable => "the sentiment component is unreachable or too slow",
        };
        context.log(Level::Warn, warning);
    }
    result
}

async fn post(context: &Context, body: &AnalyzeRequest) -> Result<Analysis, Failure> {
    let body = serde_json::to_vec(body).map_err(|_| Failure::Text)?;
    let mut request = http::Request::builder()
        .method(Method::POST)
        .uri(URL)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(X_REQUEST_ID, context.request_id());
    if let Some(trace) = context.trace() {
        request = request.header(X_TRACEPARENT, trace.as_str());
    }
    let request = request
        .body(Bytes::from(body))
        .map_err(|_| Failure::Unavailable)?;
    let response = send(request).await.map_err(|_| Failure::Unavailable)?;
    if let Some(timings) = response.header(&SERVER_TIMING) {
        context.timings().add_header(&timings);
    }
    match response.status {
        StatusCode::OK => {}
        // An invalid setting of the component affects every text.
        StatusCode::SERVICE_UNAVAILABLE => return Err(Failure::Unavailable),
        _ => return Err(Failure::Text),
    }
    let body = response.body(RESPONSE_LIMIT).await;
    let body = body.map_err(|_| Failure::Unavailable)?;
    serde_json::from_slice(&body).map_err(|_| Failure::Text)
}
