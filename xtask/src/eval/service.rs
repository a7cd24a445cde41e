//! The sentiment that the service finds in the sentences, each written as a diary.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use testbed::api::User;
use testbed::environment::Environment;
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};

use super::labeled::{Polarity, Sentence};

/// Concurrent requests.
const CONCURRENCY: usize = 8;

/// Returns the sentiment of each sentence, in the same order. Errors have a sentence's id, not its text.
pub async fn read(
    kind: Kind,
    environment: &Environment,
    sentences: &[Sentence],
    progress: &Progress,
) -> Result<Vec<Polarity>> {
    let step = progress.step("Reading the sentences");
    step.announce();
    // Without `github_token` there is no model, so the lexicon is used.
    let app = App::start(kind, environment.service(&[])?).await?;
    let user = User::register(app.url(), "eval@thought-diary.example", "Eval-Diary-1").await?;
    let read = stream::iter(sentences)
        .map(|sentence| polarity(app.url(), &user, sentence))
        .buffered(CONCURRENCY)
        .try_collect()
        .await;
    app.stop().await;
    step.done();
    read
}

async fn polarity(url: &str, user: &User, sentence: &Sentence) -> Result<Polarity> {
    let Sentence { id, text, .. } = sentence;
    let diary = user.create_diary(text).send(url).await;
    let diary = diary.with_context(|| format!("the service refuses the sentence {id}"))?;
    let sentiment = diary.get("sentiment").and_then(Value::as_str);
    sentiment
        .and_then(Polarity::from_name)
        .with_context(|| format!("the diary of the sentence {id} has no sentiment"))
}
