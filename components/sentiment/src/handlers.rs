//! What the routes do.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use thought_diary::{Error, Request, Response, http::json};

use crate::{
    config::Model,
    lexicon,
    markup::{Analysis, Mark, phrases::locate, render},
    provider::{self, Failure},
};

/// Body of `POST /analyze`.
#[derive(Deserialize)]
struct Entry {
    text: String,
}

/// Answer of `POST /analyze`.
#[derive(Serialize)]
struct Analyzed {
    #[serde(flatten)]
    analysis: Analysis,
    analyzed_by: AnalyzedBy,
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
    let entry: Entry = request.json().await?;
    let model = Model::get().await?;
    let (marks, analyzed_by) = match ask(request, model, &entry.text).await {
        Some(marks) => (marks, AnalyzedBy::Model),
        None => (lexicon::analyze(&entry.text), AnalyzedBy::Lexicon),
    };
    let analysis = render(&entry.text, &marks);
    Ok(json(
        StatusCode::OK,
        &Analyzed {
            analysis,
            analyzed_by,
        },
    ))
}

/// The model's marks; `None`, with a line in the log, when it gave none to rely on.
async fn ask(request: &Request, model: Option<&Model>, text: &str) -> Option<Vec<Mark>> {
    let phrases = provider::phrases(model?, text).await;
    let marks = phrases.and_then(|phrases| match locate(text, &phrases) {
        marks if marks.is_empty() && !phrases.is_empty() => Err(Failure::Nonsense(
            "names only phrases that are not in the text",
        )),
        marks => Ok(marks),
    });
    marks
        .inspect_err(|failure| request.log(failure.level(), &failure.to_string()))
        .ok()
}
