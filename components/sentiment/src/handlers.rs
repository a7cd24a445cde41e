//! What the routes do.

use http::StatusCode;
use thought_diary::{
    Error, Response,
    analysis::{Analysis, AnalyzeRequest, Analyzer, Fallback, ModelUse},
    http::{Body, Context},
    response::json,
};

use crate::{ask::marks, config::Model, lexicon, markup::render};

/// `POST /analyze`: marks a text by the model, or by the lexicon if the model is not available.
pub async fn analyze(context: Context, body: Body) -> Result<Response, Error> {
    let AnalyzeRequest {
        text,
        cache_key,
        model: model_use,
    } = body.json().await?;
    let marks = match Model::get().await? {
        Some(_) if model_use == ModelUse::CachedOnly => Err(Fallback::Pending),
        Some(model) => marks(&context, model, &text, cache_key.as_deref()).await,
        None => Err(Fallback::NoModel),
    };
    let (marks, analyzed_by, fallback) = match marks {
        Ok(marks) => (marks, Analyzer::Model, None),
        Err(fallback) => (lexicon::analyze(&text), Analyzer::Lexicon, Some(fallback)),
    };
    let markup = render(&text, &marks);
    let analysis = Analysis {
        analyzed_content: markup.analyzed_content,
        positive_count: markup.positive_count as i32,
        negative_count: markup.negative_count as i32,
        analyzed_by,
        fallback,
    };
    Ok(json(StatusCode::OK, &analysis))
}
