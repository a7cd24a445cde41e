//! The JSON that this component exchanges with the `entries` component.

use serde::{Deserialize, Serialize};

/// Body of `POST /analyze`.
#[derive(Debug, Deserialize)]
pub struct AnalyzeRequest {
    /// The text to analyze.
    pub text: String,
    /// HMAC-SHA256 of `text` as 64 hexadecimal digits. The model's marks are cached under it; without it they are not.
    pub cache_key: Option<String>,
    /// Whether the model may be called now.
    #[serde(default)]
    pub model: ModelUse,
}

/// Whether an analysis may call the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelUse {
    /// Use the model's cached marks, or call the model.
    #[default]
    Call,
    /// Use the model's cached marks, or answer [`Fallback::Pending`] without calling the model.
    CachedOnly,
}

/// Response of `POST /analyze`: the marked text.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// The text, HTML-escaped, with its phrases in `<span class="positive">` and `<span class="negative">`.
    pub analyzed_content: String,
    /// Number of positive spans.
    pub positive_count: i32,
    /// Number of negative spans.
    pub negative_count: i32,
    /// Source of the marks.
    pub analyzed_by: Analyzer,
    /// Reason why the model did not analyze the text; `None` if it did.
    pub fallback: Option<Fallback>,
}

/// Source of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Analyzer {
    /// The configured language model.
    Model,
    /// The built-in word list.
    Lexicon,
}

/// Reason why the lexicon analyzed a text instead of the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// No model is configured.
    NoModel,
    /// The model was not called, because the request did not allow it and no marks were cached.
    Pending,
    /// The model or Redis cannot be used at present. Other texts would fail too.
    Unavailable,
    /// The model's reply to this text was unusable. Other texts may succeed.
    Unusable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json, to_value};

    fn model_use(body: Value) -> Option<ModelUse> {
        let request: Result<AnalyzeRequest, _> = from_value(body);
        request.ok().map(|request| request.model)
    }

    #[test]
    fn a_request_calls_the_model_unless_it_says_cached_only() {
        assert_eq!(model_use(json!({"text": "x"})), Some(ModelUse::Call));
        assert_eq!(
            model_use(json!({"text": "x", "model": "call"})),
            Some(ModelUse::Call)
        );
        assert_eq!(
            model_use(json!({"text": "x", "model": "cached_only"})),
            Some(ModelUse::CachedOnly)
        );
        assert_eq!(model_use(json!({"text": "x", "model": "never"})), None);
    }

    #[test]
    fn a_response_has_one_flat_object() {
        let analysis = Analysis {
            analyzed_content: "x".to_owned(),
            positive_count: 1,
            negative_count: 0,
            analyzed_by: Analyzer::Lexicon,
            fallback: Some(Fallback::NoModel),
        };
        assert_eq!(
            to_value(analysis).ok(),
            Some(json!({
                "analyzed_content": "x",
                "positive_count": 1,
                "negative_count": 0,
                "analyzed_by": "lexicon",
                "fallback": "no_model",
            }))
        );
    }
}
