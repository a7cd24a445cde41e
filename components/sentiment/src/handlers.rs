//! What the routes do.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use thought_diary::{Error, Request, Response, http::json};

use crate::{
    ask::{Fallback, marks},
    config::Model,
    lexicon,
    markup::{Analysis, render},
};

/// Body of `POST /analyze`.
#[derive(Deserialize)]
struct Entry {
    text: String,
    /// A keyed digest of the text, in hexadecimal; without it nothing is kept for the next time.
    cache_key: Option<String>,
}

/// Answer of `POST /analyze`.
#[derive(Serialize)]
struct Analyzed {
    #[serde(flatten)]
    analysis: Analysis,
    analyzed_by: AnalyzedBy,
    /// Why it was not the model.
    fallback: Option<Fallback>,
}

/// Who found the feelings.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum AnalyzedBy {
    Model,
    Lexicon,
}

/// `POST /analyze`: the text marked up by the model, or by the lexicon when there is none to rely on.
pub async fn analyze(request: &mut Request) -> Result<Response, Error> {
    let Entry { text, cache_key } = request.json().await?;
    let marks = match Model::get().await? {
        Some(model) => marks(request, model, &text, cache_key.as_deref()).await,
        None => Err(Fallback::NoModel),
    };
    let (marks, analyzed_by, fallback) = match marks {
        Ok(marks) => (marks, AnalyzedBy::Model, None),
        Err(fallback) => (lexicon::analyze(&text), AnalyzedBy::Lexicon, Some(fallback)),
    };
    Ok(json(
        StatusCode::OK,
        &Analyzed {
            analysis: render(&text, &marks),
            analyzed_by,
            fallback,
        },
    ))
}
