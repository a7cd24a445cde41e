//! A client of the sentiment component.

use http::StatusCode;
use thought_diary::{
    analysis::{Analysis, AnalyzeRequest, Fallback, ModelUse},
    http::{Context, post_json},
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
    /// The model must not be called for the user for this number of seconds.
    Limited(u64),
}

/// Analyzes a text of a user.
///
/// # Errors
/// When the component fails for any reason; a warning is logged then. The
/// caller stores the entry without marks. [`Failure::Limited`] when it would have to call the model.
pub async fn analyze(
    context: &Context,
    config: &Config,
    user_id: i32,
    content: &Content,
    model: ModelUse,
) -> Result<Analysis, Failure> {
    let body = AnalyzeRequest {
        text: content.as_str().to_owned(),
        text_digest: config.keys.digest("sentiment", content.as_str()),
        user_digest: config.keys.digest("user", &user_id.to_string()),
        model,
    };
    let response = post(context, &body);
    let result = timeout(config.sentiment_timeout(), response)
        .await
        .unwrap_or(Err(Failure::Unavailable));
    let warning = match result {
        Err(Failure::Text) => "the sentiment component failed on a text",
        Err(Failure::Unavailable) => "the sentiment component is unreachable or too slow",
        Ok(_) | Err(Failure::Limited(_)) => return result,
    };
    context.log(Level::Warn, warning);
    result
}

async fn post(context: &Context, body: &AnalyzeRequest) -> Result<Analysis, Failure> {
    let response = post_json(context, URL, body).await;
    let response = response.map_err(|_| Failure::Unavailable)?;
    match response.status {
        StatusCode::OK => {}
        // An invalid setting of the component affects every text.
        StatusCode::SERVICE_UNAVAILABLE => return Err(Failure::Unavailable),
        _ => return Err(Failure::Text),
    }
    let body = response.body(RESPONSE_LIMIT).await;
    let body = body.map_err(|_| Failure::Unavailable)?;
    let analysis: Analysis = serde_json::from_slice(&body).map_err(|_| Failure::Text)?;
    match analysis.fallback {
        Some(Fallback::Limited(seconds)) => Err(Failure::Limited(seconds)),
        _ => Ok(analysis),
    }
}
