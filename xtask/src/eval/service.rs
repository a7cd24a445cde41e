//! What the service makes of the sentences: each is written as a diary.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::labelled::{Polarity, Sentence};
use crate::client::Call;
use crate::progress::Progress;
use crate::runtime::{App, Kind};
use crate::stage::Servers;

/// Sentences that are under way at once.
const AT_ONCE: usize = 8;

/// The sentiment of each sentence, in their order.
///
/// # Errors
/// When the service does not start or refuses one; the message has its id, not its text.
pub async fn read(
    kind: Kind,
    servers: &Servers,
    sentences: &[Sentence],
    progress: &Progress,
) -> Result<Vec<Polarity>> {
    let step = progress.step("Reading the sentences");
    step.announce();
    // Without a token there is no model, so the word list reads.
    let app = App::start(kind, servers.service(&[])?).await?;
    let token = token(app.url()).await?;
    let read = stream::iter(sentences)
        .map(|sentence| one(app.url(), &token, sentence))
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    app.stop().await;
    step.done();
    read
}

async fn token(url: &str) -> Result<String> {
    let account = json!({ "email": "eval@thought-diary.example", "password": "Eval-Diary-1" });
    Call::post("/auth/register", &account).send(url).await?;
    let login = Call::post("/auth/login", &account).send(url).await?;
    let token = login.get("access_token").and_then(Value::as_str);
    Ok(token.context("the login gives no token")?.to_owned())
}

async fn one(url: &str, token: &str, sentence: &Sentence) -> Result<Polarity> {
    let call = Call::post("/diaries", &json!({ "content": sentence.text })).with_token(token);
    let diary = call
        .send(url)
        .await
        .with_context(|| format!("the service does not take {}", sentence.id))?;
    let sentiment = diary.get("sentiment").and_then(Value::as_str);
    sentiment
        .and_then(Polarity::named)
        .with_context(|| format!("{} has no sentiment", sentence.id))
}
