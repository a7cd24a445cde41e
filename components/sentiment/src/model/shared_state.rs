//! State that all instances share in Redis: cached marks, the circuit breaker, and the server's request features.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use spin_sdk::redis::RedisResult;
use thought_diary::{log::Level, redis::execute_within};

use super::{
    cache::CacheSlot,
    circuit::{
        FAILURES_TO_OPEN, FIRST_PAUSE, LONGEST_PAUSE, MAX_PENDING_CALLS, Outcome, Permit,
        Transition,
    },
    features::RequestFeatures,
    subject::Subject,
};
use crate::config::ModelConfig;

/// Returns cached marks or a permit for a call; see the comment in the script.
const LOOKUP_SCRIPT: &str = include_str!("shared_state/lookup.lua");
/// Records the result of a call; see the comment in the script.
const RECORD_SCRIPT: &str = include_str!("shared_state/record.lua");

/// Time limit of the lookup before a call, which is part of the model's timeout. On a busy machine Redis takes
/// several hundred milliseconds; a shorter limit would give up on it and leave those texts to the lexicon.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// Time limit of a command after a call or late in a wait, when the model's timeout may have passed.
const SHORT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time after a failure in which this instance does not try Redis. Without it, a hanging Redis would delay every request
/// by [`LOOKUP_TIMEOUT`], 1 s.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Time after the model's timeout at which a call without a recorded outcome is considered lost.
const CALL_MARGIN: Duration = Duration::from_secs(2);
/// Lifetime of the known request features. An updated server may support more.
const FEATURES_TTL: Duration = Duration::from_secs(24 * 3600);
/// Lifetime of a model's state; longer than the longest pause, 24 h.
const STATE_TTL: Duration = Duration::from_secs(25 * 3600);
/// Time for which a text that timed out gets no trial call; several of the longest pauses between trials.
const SLOW_TEXT_TTL: Duration = Duration::from_secs(10 * 60);

thread_local! {
    /// Time until which this instance does not try Redis.
    static RETRY_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Result of a lookup.
#[derive(Debug, PartialEq)]
pub enum Lookup {
    /// The cached marks of this text, as [`CallRecord::marks`] stored them.
    Cached(String),
    /// Another request is calling the model for this text.
    InProgress,
    /// The model may be called, first with these request features.
    Permitted(Permit, RequestFeatures),
    /// The model must not be called: the circuit is open, too many calls are pending, or only the cache was read.
    Denied,
    /// The model must not be called for this user for this long: `model_limit` is used up, or the user's last calls failed.
    Limited(Duration),
}

/// Result of a call, to be recorded.
pub struct CallRecord {
    /// The permit that the call used.
    pub permit: Permit,
    /// Its outcome.
    pub outcome: Outcome,
    /// True if there was no reply in time.
    pub is_timeout: bool,
    /// The request features that the server accepted; `None` if it accepted none.
    pub features: Option<RequestFeatures>,
    /// The encoded marks to cache; `None` if there are none.
    pub marks: Option<String>,
}

/// Redis failed, or is not tried because it failed less than [`RETRY_INTERVAL`] ago.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RedisUnavailable {
    was_tried: bool,
}

impl RedisUnavailable {
    /// Returns the log level: a warning for the failure itself, debug for the requests that skip Redis after it.
    pub fn level(self) -> Level {
        if self.was_tried {
            Level::Warn
        } else {
            Level::Debug
        }
    }
}

/// Looks up the marks in `slot`, or asks for a permit to call the model.
///
/// # Errors
/// When Redis is unavailable or returns something unexpected.
pub async fn look_up(
    config: &ModelConfig,
    subject: &Subject,
    slot: Option<&CacheSlot>,
) -> Result<Lookup, RedisUnavailable> {
    let calls = config.limit.map(|limit| limit.attempts.to_string());
    let arguments = vec![
        milliseconds(config.timeout + CALL_MARGIN),
        MAX_PENDING_CALLS.to_string(),
        milliseconds(STATE_TTL),
        calls.unwrap_or_default(),
        milliseconds(window(config)),
        milliseconds(user_ttl(config)),
    ];
    let limit = LOOKUP_TIMEOUT.min(config.timeout / 2);
    let results = eval(config, limit, LOOKUP_SCRIPT, subject, slot, arguments).await?;
    parse_lookup(&results).ok_or(RedisUnavailable { was_tried: true })
}

/// Reads the marks in `slot`, without asking for a permit to call the model.
///
/// # Errors
/// When Redis is unavailable.
pub async fn peek(config: &ModelConfig, slot: &CacheSlot) -> Result<Lookup, RedisUnavailable> {
    let results = execute(config, SHORT_TIMEOUT, "GET", &[&slot.key]).await?;
    Ok(match results.as_slice() {
        [RedisResult::Binary(value)] if value == b"?" => Lookup::InProgress,
        [RedisResult::Binary(value)] => Lookup::Cached(String::from_utf8_lossy(value).into_owned()),
        _ => Lookup::Denied,
    })
}

/// Records the result of a call, and caches its marks in `slot`.
///
/// # Errors
/// When Redis is unavailable or returns something unexpected. A trial without a recorded outcome is repeated.
pub async fn record(
    config: &ModelConfig,
    subject: &Subject,
    slot: Option<&CacheSlot>,
    record: CallRecord,
) -> Result<Transition, RedisUnavailable> {
    let (outcome, pause) = match record.outcome {
        Outcome::Success => ("success", Duration::ZERO),
        Outcome::Failure if record.is_timeout => ("timeout", FIRST_PAUSE),
        Outcome::Failure => ("failure", FIRST_PAUSE),
        Outcome::Pause(pause) => ("pause", pause),
    };
    let permit = match record.permit {
        Permit::Normal => "normal",
        Permit::Trial => "trial",
    };
    let features = record
        .features
        .map(|features| features.encode().to_string());
    let mut arguments = vec![
        outcome.to_owned(),
        permit.to_owned(),
        milliseconds(pause),
        FAILURES_TO_OPEN.to_string(),
        milliseconds(LONGEST_PAUSE),
        milliseconds(STATE_TTL),
        milliseconds(user_ttl(config)),
        milliseconds(SLOW_TEXT_TTL),
        milliseconds(FEATURES_TTL),
        features.unwrap_or_default(),
    ];
    if let (Some(slot), Some(marks)) = (slot, record.marks) {
        arguments.extend([marks, milliseconds(slot.ttl)]);
    }
    let results = eval(
        config,
        SHORT_TIMEOUT,
        RECORD_SCRIPT,
        subject,
        slot,
        arguments,
    )
    .await?;
    parse_transition(&results).ok_or(RedisUnavailable { was_tried: true })
}

fn parse_lookup(results: &[RedisResult]) -> Option<Lookup> {
    let [RedisResult::Binary(verdict), RedisResult::Binary(value)] = results else {
        return None;
    };
    let value = String::from_utf8_lossy(value);
    let permitted = |permit| {
        let code = value.parse().unwrap_or_default();
        Lookup::Permitted(permit, RequestFeatures::decode(code))
    };
    match verdict.as_slice() {
        b"cached" => Some(Lookup::Cached(value.into_owned())),
        b"in_progress" => Some(Lookup::InProgress),
        b"normal" => Some(permitted(Permit::Normal)),
        b"trial" => Some(permitted(Permit::Trial)),
        b"denied" => Some(Lookup::Denied),
        b"limited" => Some(Lookup::Limited(Duration::from_millis(value.parse().ok()?))),
        _ => None,
    }
}

fn parse_transition(results: &[RedisResult]) -> Option<Transition> {
    let [RedisResult::Binary(state), RedisResult::Int64(pause)] = results else {
        return None;
    };
    let pause = Duration::from_millis(pause.unsigned_abs());
    match state.as_slice() {
        b"closed" => Some(Transition::Closed),
        b"opened" => Some(Transition::Opened(pause)),
        b"user_paused" => Some(Transition::UserPaused(pause)),
        b"still_open" => Some(Transition::StillOpen),
        _ => None,
    }
}

/// Returns the window of `model_limit`.
fn window(config: &ModelConfig) -> Duration {
    Duration::from_secs(config.limit.map_or(0, |limit| limit.seconds))
}

/// Returns the lifetime of a user's calls and failures.
fn user_ttl(config: &ModelConfig) -> Duration {
    window(config).max(STATE_TTL)
}

/// Runs a script with the keys of the model's state, of the subject and, if there is one, of the slot.
async fn eval(
    config: &ModelConfig,
    limit: Duration,
    script: &str,
    subject: &Subject,
    slot: Option<&CacheSlot>,
    arguments: Vec<String>,
) -> Result<Vec<RedisResult>, RedisUnavailable> {
    let keys = [
        Some(&config.state_key),
        Some(&subject.user),
        Some(&subject.text),
        slot.map(|slot| &slot.key),
    ];
    let key_count = keys.iter().flatten().count().to_string();
    let parameters: Vec<&str> = [script, key_count.as_str()]
        .into_iter()
        .chain(keys.into_iter().flatten().map(String::as_str))
        .chain(arguments.iter().map(String::as_str))
        .collect();
    execute(config, limit, "EVAL", &parameters).await
}

/// Runs a command, unless Redis failed less than [`RETRY_INTERVAL`] ago.
async fn execute(
    config: &ModelConfig,
    limit: Duration,
    command: &str,
    parameters: &[&str],
) -> Result<Vec<RedisResult>, RedisUnavailable> {
    if RETRY_AT.get().is_some_and(|at| Instant::now() < at) {
        return Err(RedisUnavailable { was_tried: false });
    }
    let results = execute_within(limit, &config.redis_url, command, parameters).await;
    let retry_at = results.is_err().then(|| Instant::now() + RETRY_INTERVAL);
    RETRY_AT.set(retry_at);
    results.map_err(|_| RedisUnavailable { was_tried: true })
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(text: &str) -> RedisResult {
        RedisResult::Binary(text.as_bytes().to_vec())
    }

    #[test]
    fn parses_what_the_lookup_script_returns() {
        let parse = |verdict, value| parse_lookup(&[binary(verdict), binary(value)]);
        assert_eq!(
            parse("cached", "+0-5"),
            Some(Lookup::Cached("+0-5".to_owned()))
        );
        assert_eq!(
            parse("normal", "1"),
            Some(Lookup::Permitted(
                Permit::Normal,
                RequestFeatures::decode(1)
            ))
        );
        assert_eq!(
            parse("trial", "nonsense"),
            Some(Lookup::Permitted(Permit::Trial, RequestFeatures::decode(0))),
            "all features where the stored ones are invalid"
        );
        assert_eq!(parse("denied", "0"), Some(Lookup::Denied));
        assert_eq!(
            parse("limited", "86400000"),
            Some(Lookup::Limited(Duration::from_secs(86_400)))
        );
        assert_eq!(parse("in_progress", ""), Some(Lookup::InProgress));
    }

    #[test]
    fn parses_what_the_record_script_returns() {
        let parse = |state, pause| parse_transition(&[binary(state), RedisResult::Int64(pause)]);
        assert_eq!(parse("closed", 0), Some(Transition::Closed));
        assert_eq!(
            parse("opened", 20_000),
            Some(Transition::Opened(Duration::from_secs(20)))
        );
        assert_eq!(
            parse("user_paused", 10_000),
            Some(Transition::UserPaused(Duration::from_secs(10)))
        );
        assert_eq!(parse("still_open", 0), Some(Transition::StillOpen));
    }

    #[test]
    fn rejects_unexpected_results() {
        for results in [
            &[][..],
            &[RedisResult::Nil],
            &[binary("perhaps"), binary("0")],
            &[binary("normal"), RedisResult::Nil],
            &[binary("limited"), binary("soon")],
        ] {
            assert_eq!(parse_lookup(results), None);
            assert_eq!(parse_transition(results), None);
        }
    }
}
