//! Request handlers.

use http::StatusCode;
use thought_diary::{
    Error, Response,
    analysis::{Analysis, AnalyzeRequest, Analyzer, Fallback, ModelUse},
    http::{Body, Context},
    metrics::{MODEL_FALLBACKS, count},
    response::json,
};

use crate::{config::ModelConfig, lexicon, markup::render, model};

/// `POST /analyze`: returns the text with its phrases marked by the model, or by the lexicon as the fallback.
pub async fn analyze(context: Context, body: Body) -> Result<Response, Error> {
    let AnalyzeRequest {
        text,
        text_digest,
        user_digest,
        model: model_use,
    } = body.json().await?;
    let marks = match (ModelConfig::get().await?, model_use) {
        (None, _) => Err(Fallback::NoModel),
        (Some(config), ModelUse::CachedOnly) => {
            let cached = model::cached_marks(&context, config, &text, &text_digest).await;
            cached.ok_or(Fallback::Pending)
        }
        (Some(config), ModelUse::Call) => {
            model::analyze(&context, config, &text, &text_digest, &user_digest).await
        }
    };
    let (marks, analyzed_by, fallback) = match marks {
        Ok(marks) => (marks, Analyzer::Model, None),
        Err(fallback) => {
            count_fallback(fallback);
            (lexicon::analyze(&text), Analyzer::Lexicon, Some(fallback))
        }
    };
    let markup = render(&text, &marks);
    Ok(json(
        StatusCode::OK,
        &Analysis {
            analyzed_content: markup.html,
            positive_count: markup.positive_count,
            negative_count: markup.negative_count,
            analyzed_by,
            fallback,
        },
    ))
}

fn count_fallback(fallback: Fallback) {
    let reason = match fallback {
        // The model is called next.
        Fallback::Pending => return,
        Fallback::NoModel => "no_model",
        Fallback::Limited(_) => "limited",
        Fallback::Unavailable => "unavailable",
        Fallback::Unusable => "unusable",
    };
    count(&MODEL_FALLBACKS, &[reason]);
}
