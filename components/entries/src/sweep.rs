//! `POST /internal/sweep`: analyzes entries that the model has not marked yet.

mod db;

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Error, Response,
    analysis::{Analyzer, Fallback},
    http::Context,
    log::Level,
    response::json,
};

use crate::{
    config::{Config, Operator},
    sentiment,
};
use db::ClaimedEntry;

/// Number of entries that one sweep analyzes at once.
const BATCH: i32 = 8;

/// Time after which a sweep starts no further batch. Clients and proxies give up on much longer requests.
const BUDGET: Duration = Duration::from_secs(20);

/// Time that a claimed batch stays reserved in addition to the model's timeout.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The response of a sweep.
#[derive(Serialize)]
struct SweepResult {
    /// Entries that the model has marked in this sweep.
    analyzed: usize,
    /// Entries that are still pending, counted up to 10,000.
    waiting: i64,
}

/// `POST /internal/sweep`
///
/// Analyzes the oldest entries in batches until none is due, the model is
/// unavailable, or [`BUDGET`] is spent. Concurrent sweeps claim different
/// entries. The entries of a sweep that is interrupted are due again when its lease ends.
pub async fn sweep(
    context: Context,
    config: &'static Config,
    _operator: Operator,
) -> Result<Response, Error> {
    let start = Instant::now();
    let mut analyzed = 0;
    while start.elapsed() < BUDGET {
        let lease = config.model_timeout + LEASE_MARGIN;
        let batch = db::claim(&config.database, BATCH, lease).await?;
        if batch.is_empty() {
            break;
        }
        let outcomes = join_all(batch.iter().map(|entry| analyze(&context, config, entry))).await;
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let marked = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Marked)
            .count();
        analyzed += marked;
        // A half-open circuit lets one call through: if that succeeded, the rest of the batch may succeed now.
        if outcomes.contains(&Outcome::Unavailable) && marked == 0 {
            break;
        }
    }
    let waiting = db::count_pending(&config.database).await?;
    context.log(
        Level::Info,
        &format!("the sweep analyzed {analyzed} entries; {waiting} are pending"),
    );
    Ok(json(StatusCode::OK, &SweepResult { analyzed, waiting }))
}

/// The outcome of analyzing one entry.
#[derive(PartialEq)]
enum Outcome {
    /// The model marked it.
    Marked,
    /// The model failed on this text, or the entry changed in the meantime.
    Skipped,
    /// The model is unavailable for every text.
    Unavailable,
}

async fn analyze(
    context: &Context,
    config: &Config,
    entry: &ClaimedEntry,
) -> Result<Outcome, Error> {
    let Some(analysis) = sentiment::analyze(context, config, &entry.content).await else {
        return Ok(Outcome::Unavailable);
    };
    let outcome = match (analysis.analyzed_by, analysis.fallback) {
        (_, Some(Fallback::NoModel | Fallback::Unavailable)) => Outcome::Unavailable,
        (Analyzer::Model, _) => Outcome::Marked,
        (Analyzer::Lexicon, _) => Outcome::Skipped,
    };
    let was_stored = db::store(&config.database, entry, analysis).await?;
    Ok(match outcome {
        Outcome::Marked if !was_stored => Outcome::Skipped,
        outcome => outcome,
    })
}
