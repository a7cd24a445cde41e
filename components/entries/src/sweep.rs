//! `POST /internal/sweep`: has the entries analysed that the model failed on before.

mod db;

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{Error, Request, Response, http::json, log::Level, session::bearer_token};

use crate::{
    config::Config,
    sentiment::{self, Analyst, Fallback},
};
use db::Waiting;

/// Entries that one sweep has under way at once.
const BATCH: i32 = 8;

/// How long a sweep goes on taking batches: callers, and proxies between, give up on what takes much longer.
const BUDGET: Duration = Duration::from_secs(20);

/// What a batch may take beyond the model's time before other sweeps may take its entries.
const MARGIN: Duration = Duration::from_secs(30);

/// What a sweep did.
#[derive(Serialize)]
struct Swept {
    /// Entries that the model has now marked.
    analyzed: usize,
    /// Entries that still wait after it failed on them; 10,000 where there are more.
    waiting: i64,
}

/// Takes the oldest entries, batch by batch, until none is due, the model cannot be used, or [`BUDGET`] is spent.
///
/// Several sweeps at once take different entries. One that breaks off loses nothing: its entries are due again soon.
pub async fn sweep(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let token = config.sweep_token.as_ref().ok_or(Error::NotFound)?;
    if !token.is(bearer_token(request.headers())?) {
        return Err(Error::TokenInvalid);
    }
    let started = Instant::now();
    let mut analyzed = 0;
    while started.elapsed() < BUDGET {
        let lease = config.model_timeout + MARGIN;
        let batch = db::claim(&config.database, BATCH, lease).await?;
        if batch.is_empty() {
            break;
        }
        let outcomes = join_all(batch.iter().map(|entry| analyze(request, config, entry))).await;
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let marked = |outcome: &&Outcome| **outcome == Outcome::Marked;
        analyzed += outcomes.iter().filter(marked).count();
        // After a pause a single call is let through first, and if it goes well the others may follow.
        if outcomes.contains(&Outcome::NoUse) && !outcomes.contains(&Outcome::Marked) {
            break;
        }
    }
    let waiting = db::waiting(&config.database).await?;
    request.log(
        Level::Info,
        &format!("the sweep had {analyzed} entries analysed; {waiting} wait"),
    );
    Ok(json(StatusCode::OK, &Swept { analyzed, waiting }))
}

/// What became of an entry.
#[derive(PartialEq)]
enum Outcome {
    /// The model has marked it.
    Marked,
    /// It waits on, or was changed meanwhile.
    Left,
    /// It waits on, and so would any other.
    NoUse,
}

async fn analyze(request: &Request, config: &Config, entry: &Waiting) -> Result<Outcome, Error> {
    let Some(analysis) = sentiment::analyze(request, config, &entry.content).await else {
        return Ok(Outcome::NoUse);
    };
    let outcome = match (analysis.analyzed_by, analysis.fallback) {
        (_, Some(Fallback::NoModel | Fallback::Unavailable)) => Outcome::NoUse,
        (Analyst::Model, _) => Outcome::Marked,
        _ => Outcome::Left,
    };
    let stored = db::store(&config.database, entry, analysis).await?;
    Ok(match outcome {
        Outcome::Marked if !stored => Outcome::Left,
        outcome => outcome,
    })
}
