//! Marks a text by a language model: Redis is asked for cached marks and for a permit, then the model is called.

mod cache;
mod circuit;
mod client;
mod error_reply;
mod failure;
mod features;
mod phrases;
mod reply;
mod shared_state;

use std::time::{Duration, Instant};

use spin_sdk::time::sleep;
use thought_diary::{Request, log::Level};

#[cfg(test)]
pub use self::phrases::locate;
use crate::{analysis::Fallback, config::ModelConfig, markup::Mark};
use cache::CacheSlot;
use circuit::{Permit, Transition};
use failure::Failure;
use features::RequestFeatures;
use shared_state::{CallRecord, Lookup, RedisUnavailable};

/// Interval at which a request checks Redis while another request analyzes the same text.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns the model's cached marks of `text`, without calling the model; `None` on a cache miss.
///
/// Marks that another request is still fetching are a miss, and so is an unreachable Redis.
pub async fn cached_marks(
    request: &Request,
    config: &ModelConfig,
    text: &str,
    cache_key: Option<&str>,
) -> Option<Vec<Mark>> {
    let slot = CacheSlot::new(config, cache_key?)?;
    match shared_state::peek(config, &slot).await {
        Ok(Lookup::Cached(value)) => decode(request, &value, text),
        Ok(_) => None,
        Err(error) => {
            log_redis_unavailable(request, error);
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
pub async fn marks(
    request: &Request,
    config: &ModelConfig,
    text: &str,
    cache_key: Option<&str>,
) -> Result<Vec<Mark>, Fallback> {
    let started = Instant::now();
    let slot = cache_key.and_then(|digest| CacheSlot::new(config, digest));
    let slot = slot.as_ref();
    let mut lookup = shared_state::lookup(config, slot).await;
    while let (Ok(Lookup::InProgress), Some(slot)) = (&lookup, slot)
        && started.elapsed() < config.timeout
    {
        sleep(POLL_INTERVAL).await;
        // In the second half of the timeout only cached marks are accepted: a call with so little time left
        // could time out and would count as the model's failure.
        lookup = if started.elapsed() < config.timeout / 2 {
            shared_state::lookup(config, Some(slot)).await
        } else {
            shared_state::peek(config, slot).await
        };
    }
    if let Ok(Lookup::Cached(value)) = &lookup {
        if let Some(marks) = decode(request, value, text) {
            return Ok(marks);
        }
        lookup = shared_state::lookup(config, None).await;
    }
    match lookup {
        Ok(Lookup::Permitted(permit, features)) => {
            let time_left = config.timeout.saturating_sub(started.elapsed());
            call(request, config, text, slot, permit, features, time_left).await
        }
        Ok(_) => {
            request.log(
                Level::Debug,
                "the model was not called: the circuit is open, too many calls are pending, or an equal text is still in progress",
            );
            Err(Fallback::Unavailable)
        }
        Err(error) => {
            log_redis_unavailable(request, error);
            Err(Fallback::Unavailable)
        }
    }
}

/// Calls the model and records the outcome, with the marks to cache, in Redis.
async fn call(
    request: &Request,
    config: &ModelConfig,
    text: &str,
    slot: Option<&CacheSlot>,
    permit: Permit,
    features: RequestFeatures,
    time_left: Duration,
) -> Result<Vec<Mark>, Fallback> {
    let response = client::complete(config, text, features, time_left).await;
    let marks = response
        .phrases
        .and_then(|phrases| match phrases::locate(text, &phrases) {
            marks if marks.is_empty() && !phrases.is_empty() => Err(Failure::Unusable(
                "names only phrases that are not in the text",
            )),
            marks => Ok(marks),
        });
    let record = CallRecord {
        permit,
        outcome: Failure::outcome(marks.as_ref().err()),
        features: response.features,
        marks: marks.as_ref().ok().map(|marks| cache::encode(marks)),
    };
    let transition = shared_state::record(config, slot, record).await;
    marks.map_err(|failure| {
        log_failure(request, &failure, transition);
        failure.fallback()
    })
}

/// Decodes cached marks; `None`, after a warning in the log, if they are not valid marks of `text`.
fn decode(request: &Request, value: &str, text: &str) -> Option<Vec<Mark>> {
    let marks = cache::decode(value, text);
    if marks.is_none() {
        request.log(Level::Warn, "ignored cached marks that are invalid");
    }
    marks
}

/// Logs a failed call. When many calls fail at once, only the one that opens the circuit logs above debug level.
fn log_failure(
    request: &Request,
    failure: &Failure,
    transition: Result<Transition, RedisUnavailable>,
) {
    let (level, consequence) = match transition {
        Ok(Transition::Closed) | Err(_) => {
            (Level::Warn, "the built-in lexicon took over".to_owned())
        }
        Ok(Transition::StillOpen) => (Level::Debug, "the circuit was open already".to_owned()),
        Ok(Transition::Opened(pause)) => (
            failure.level(),
            format!(
                "the built-in lexicon takes over for {} s",
                pause.as_secs_f32().ceil()
            ),
        ),
    };
    request.log(level, &format!("{failure}; {consequence}"));
}

fn log_redis_unavailable(request: &Request, error: RedisUnavailable) {
    request.log(
        error.level(),
        "Redis is unavailable, so the model was not called; the built-in lexicon took over",
    );
}
