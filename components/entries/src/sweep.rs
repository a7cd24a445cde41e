//! `POST /internal/sweep`: analyzes entries that the model has not marked yet.

pub mod db;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Error, Response,
    analysis::{Analysis, Fallback, ModelUse},
    http::Context,
    log::Level,
    response::json,
};

use crate::{
    config::{Config, Operator},
    db::attach,
    sentiment::{self, Failure},
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
/// Deletes expired rows, then analyzes the oldest entries in batches until none is due, the model is
/// unavailable, or [`BUDGET`] is spent. Concurrent sweeps claim different
/// entries. The entries of a sweep that is interrupted are due again when its lease ends.
pub async fn sweep(
    context: Context,
    config: &'static Config,
    _operator: Operator,
) -> Result<Response, Error> {
    let start = Instant::now();
    db::delete_expired(&config.database).await?;
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
        let limited = batch.iter().zip(&outcomes);
        let limited: BTreeMap<i32, u64> = limited
            .filter_map(|(entry, outcome)| match outcome {
                Outcome::Limited(seconds) => Some((entry.user_id, *seconds)),
                _ => None,
            })
            .collect();
        for (user_id, seconds) in limited {
            db::postpone(&config.database, user_id, seconds).await?;
        }
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

/// The response of `GET /internal/backlog`.
#[derive(Serialize)]
struct Backlog {
    /// Entries that are pending, counted up to 10,000.
    waiting: i64,
}

/// `GET /internal/backlog`
pub async fn backlog(config: &'static Config, _operator: Operator) -> Result<Response, Error> {
    let waiting = db::count_pending(&config.database).await?;
    Ok(json(StatusCode::OK, &Backlog { waiting }))
}

/// The outcome of analyzing one entry.
#[derive(PartialEq)]
enum Outcome {
    /// The model marked it.
    Marked,
    /// The model failed on this text, or the entry changed in the meantime.
    Skipped,
    /// The model must not be called for the entry's user for this number of seconds.
    Limited(u64),
    /// The model is unavailable for every text.
    Unavailable,
}

async fn analyze(
    context: &Context,
    config: &Config,
    entry: &ClaimedEntry,
) -> Result<Outcome, Error> {
    let (user_id, content) = (entry.user_id, &entry.content);
    let analysis = sentiment::analyze(context, config, user_id, content, ModelUse::Call).await;
    let outcome = outcome(&analysis);
    let attached = attach(&config.database, entry.id, content, analysis).await?;
    Ok(match outcome {
        Outcome::Marked if attached.is_none() => Outcome::Skipped,
        outcome => outcome,
    })
}

fn outcome(analysis: &Result<Analysis, Failure>) -> Outcome {
    match analysis {
        Err(Failure::Text) => Outcome::Skipped,
        Err(Failure::Limited(seconds)) => Outcome::Limited(*seconds),
        Err(Failure::Unavailable) => Outcome::Unavailable,
        Ok(analysis) => match analysis.fallback {
            None => Outcome::Marked,
            Some(Fallback::Unusable) => Outcome::Skipped,
            Some(_) => Outcome::Unavailable,
        },
    }
}
