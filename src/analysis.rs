//! The messages between the `entries` and `sentiment` components.
//!
//! `entries` posts an [`AnalyzeRequest`] to `http://sentiment.spin.internal/analyze`
//! and receives an [`Analysis`].

use serde::{Deserialize, Serialize};

/// The body of `POST /analyze`.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnalyzeRequest {
    /// The text of the entry.
    pub text: String,
    /// HMAC-SHA256 of the text, hex-encoded. The model's marks are cached under keys derived from it.
    pub text_digest: String,
    /// HMAC-SHA256 of the id of the text's user, hex-encoded. The model's calls are counted under keys derived from it.
    pub user_digest: String,
    /// Permission to call the model.
    #[serde(default)]
    pub model: ModelUse,
}

/// Permission to call the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelUse {
    /// Call the model if its marks are not cached.
    #[default]
    Call,
    /// Use the model's cached marks, otherwise the lexicon with [`Fallback::Pending`].
    CachedOnly,
}

/// A text with its phrases marked: the response to [`AnalyzeRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The text, HTML-escaped, with `<span class="positive">` and
    /// `<span class="negative">` as its only tags.
    pub analyzed_content: String,
    /// Number of spans of class `positive`.
    pub positive_count: i32,
    /// Number of spans of class `negative`.
    pub negative_count: i32,
    /// The source of the marks.
    pub analyzed_by: Analyzer,
    /// The reason why the model did not mark them. `None` if it did.
    pub fallback: Option<Fallback>,
}

/// The source of the marks of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Analyzer {
    /// The language model.
    Model,
    /// The built-in lexicon.
    Lexicon,
}

impl Analyzer {
    /// Returns the value of the column `thought_diaries.analyzed_by`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Lexicon => "lexicon",
        }
    }
}

/// The reason why the model did not mark the phrases of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// No model is configured.
    NoModel,
    /// A model is configured, but the request did not allow calling it.
    Pending,
    /// The model or Redis is unreachable, slow, or refuses every call: other texts would fail too.
    Unavailable,
    /// The model must not be called for this user for this number of seconds: the
    /// user has used up `model_limit`, or the last calls for this user failed.
    Limited(u64),
    /// The model gave no usable reply to this text: other texts may succeed.
    Unusable,
}
