//! Marks the emotional phrases of a text by a language model.
//!
//! [`analyze`] looks up cached marks and the state of the circuit breaker in Redis, calls the model if it may, and
//! records the result in Redis. [`cached_marks`] only reads the cache.

mod cache;
mod circuit;
mod client;
mod error_reply;
mod failure;
mod features;
mod phrases;
mod reply;
mod shared_state;
mod subject;

use std::time::{Duration, Instant};

use spin_sdk::time::sleep;
use thought_diary::{
    analysis::Fallback,
    http::Context,
    log::Level,
    metrics,
    timings::{Server, measure},
};

pub use self::phrases::locate;
use crate::{config::ModelConfig, markup::Mark};
use cache::CacheSlot;
use circuit::Transition;
use failure::Failure;
use phrases::Phrase;
use shared_state::{CallRecord, Lookup, RedisUnavailable};
use subject::Subject;

/// Interval at which a request checks Redis while another request analyzes the same text.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns the model's cached marks of `text`, without calling the model; `None` on a cache miss.
///
/// Marks that another request is still fetching are a miss, and so is an unreachable Redis.
pub async fn cached_marks(
    context: &Context,
    config: &ModelConfig,
    text: &str,
    text_digest: &str,
) -> Option<Vec<Mark>> {
    let slot = CacheSlot::new(config, text_digest)?;
    match shared_state::peek(config, &slot).await {
        Ok(Lookup::Cached(value)) => decode(context, &value, text),
        Ok(_) => None,
        Err(error) => {
            log_redis_unavailable(context, error);
            None
        }
    }
}

/// Returns the model's marks of `text`: the cached ones, or those of a call.
///
/// Of several requests with the same text at the same time, one calls the model and the others wait for its marks.
///
/// # Errors
/// The reason why the model did not mark the text, after it was logged.
pub async fn analyze(
    context: &Context,
    config: &ModelConfig,
    text: &str,
    text_digest: &str,
    user_digest: &str,
) -> Result<Vec<Mark>, Fallback> {
    let started = Instant::now();
    let subject = Subject::new(config, user_digest, text_digest);
    let slot = CacheSlot::new(config, text_digest);
    let slot = slot.as_ref();
    let mut lookup = look_up_or_wait(config, &subject, slot, started).await;
    if let Ok(Lookup::Cached(value)) = &lookup {
        if let Some(marks) = decode(context, value, text) {
            return Ok(marks);
        }
        lookup = shared_state::look_up(config, &subject, None).await;
    }
    let (permit, features) = match lookup {
        Ok(Lookup::Permitted(permit, features)) => (permit, features),
        Ok(Lookup::Limited(time)) => {
            context.log(
                Level::Debug,
                "the model was not called: its user has used up `model_limit`, or the last calls for this user failed",
            );
            return Err(Fallback::Limited(time.as_millis().div_ceil(1000) as u64));
        }
        Ok(_) => {
            context.log(
                Level::Debug,
                "the model was not called: the circuit is open, too many calls are pending, or an equal text is still in progress",
            );
            return Err(Fallback::Unavailable);
        }
        Err(error) => {
            log_redis_unavailable(context, error);
            return Err(Fallback::Unavailable);
        }
    };
    let time_left = config.timeout.saturating_sub(started.elapsed());
    let call = client::complete(config, text, features, time_left);
    let called = Instant::now();
    let response = measure(Server::Model, call).await;
    let marks = response
        .phrases
        .and_then(|phrases| locate_all(text, &phrases));
    metrics::observe(&metrics::MODEL_CALL_DURATION, &[], called.elapsed());
    metrics::count(&metrics::MODEL_CALLS, &[outcome_label(&marks)]);
    let record = CallRecord {
        permit,
        outcome: Failure::outcome(marks.as_ref().err()),
        is_timeout: marks.as_ref().err() == Some(&Failure::Timeout),
        features: response.features,
        marks: marks.as_ref().ok().map(|marks| cache::encode(marks)),
    };
    let transition = shared_state::record(config, &subject, slot, record).await;
    marks.map_err(|failure| {
        log_failure(context, &failure, transition);
        failure.fallback()
    })
}

/// Looks up the cached marks or a permit. While another request analyzes the same text, waits for its marks.
async fn look_up_or_wait(
    config: &ModelConfig,
    subject: &Subject,
    slot: Option<&CacheSlot>,
    started: Instant,
) -> Result<Lookup, RedisUnavailable> {
    let mut lookup = shared_state::look_up(config, subject, slot).await?;
    while let (Lookup::InProgress, Some(slot)) = (&lookup, slot)
        && started.elapsed() < config.timeout
    {
        sleep(POLL_INTERVAL).await;
        // In the second half of the timeout only cached marks are accepted: a call with so little time left could
        // time out and would count as the model's failure.
        lookup = if started.elapsed() < config.timeout / 2 {
            shared_state::look_up(config, subject, Some(slot)).await?
        } else {
            shared_state::peek(config, slot).await?
        };
    }
    Ok(lookup)
}

/// Locates the model's phrases in `text`.
///
/// # Errors
/// [`Failure::Unusable`] if there are phrases but none is in the text.
fn locate_all(text: &str, phrases: &[Phrase]) -> Result<Vec<Mark>, Failure> {
    let marks = locate(text, phrases);
    if marks.is_empty() && !phrases.is_empty() {
        return Err(Failure::Unusable(
            "names only phrases that are not in the text",
        ));
    }
    Ok(marks)
}

/// Returns the outcome of a call for the metrics.
fn outcome_label(marks: &Result<Vec<Mark>, Failure>) -> &'static str {
    match marks.as_ref().map_err(Failure::fallback) {
        Ok(_) => "success",
        Err(Fallback::Unusable) => "unusable",
        Err(_) => "failure",
    }
}

/// Decodes cached marks; `None`, after a warning in the log, if they are not valid marks of `text`.
fn decode(context: &Context, value: &str, text: &str) -> Option<Vec<Mark>> {
    let marks = cache::decode(value, text);
    if marks.is_some() {
        metrics::count(&metrics::CACHE_HITS, &[]);
    } else {
        context.log(Level::Warn, "ignored cached marks that are invalid");
    }
    marks
}

/// Logs a failed call and its consequence. Calls that fail after the circuit opened are logged at debug level only.
fn log_failure(
    context: &Context,
    failure: &Failure,
    transition: Result<Transition, RedisUnavailable>,
) {
    let (level, consequence) = match transition {
        Ok(Transition::Closed) | Err(_) => {
            (Level::Warn, "the built-in lexicon took over".to_owned())
        }
        Ok(Transition::UserPaused(pause)) => (
            Level::Warn,
            format!(
                "the built-in lexicon takes over for this user for {} s",
                pause.as_secs_f32().ceil()
            ),
        ),
        Ok(Transition::StillOpen) => (Level::Debug, "the circuit was open already".to_owned()),
        Ok(Transition::Opened(pause)) => (
            failure.level(),
            format!(
                "the built-in lexicon takes over for {} s",
                pause.as_secs_f32().ceil()
            ),
        ),
    };
    context.log(level, &format!("{failure}; {consequence}"));
}

fn log_redis_unavailable(context: &Context, error: RedisUnavailable) {
    context.log(
        error.level(),
        "Redis is unavailable, so the model was not called; the built-in lexicon took over",
    );
}
