//! What all instances know about the model and about texts, in Redis. Where that
//! is away, each goes by its own circuit and keeps no marks.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use spin_sdk::redis::{RedisParameter, RedisResult};
use thought_diary::redis::execute_within;

use crate::{
    circuit::{self, FAILURES, LONGEST_PAUSE, News, Outcome, PAUSE, Permit},
    config::Model,
    provider::Dialect,
};

const RECALL: &str = include_str!("memory/recall.lua");
const RECORD: &str = include_str!("memory/record.lua");

/// What Redis may cost a request before the model is asked, as part of the
/// model's time. When very many requests come at once, much less would take a
/// busy machine for a Redis that is away, and have all of them ask the model.
const RECALL_LIMIT: Duration = Duration::from_millis(1000);
/// And after it, or late in a wait for somebody else's call, when that time may be over.
const RECORD_LIMIT: Duration = Duration::from_millis(500);
/// How long this instance leaves a Redis alone that failed, so that only few requests pay for it.
const REDIS_PAUSE: Duration = Duration::from_secs(5);
/// A call's own end is told by its timeout; a trial that has still not been heard of so much later is lost.
const CALL_MARGIN: Duration = Duration::from_secs(2);
/// Calls that may be under way without a success in between: more would only join those that hang.
const MOST_WAITING: u32 = 64;
/// How long a dialect is known. A server that is renewed may understand more.
const DIALECT_KNOWN: Duration = Duration::from_secs(24 * 3600);
/// How long anything about a model is known: longer than its longest pause.
const KNOWN: Duration = Duration::from_secs(25 * 3600);

thread_local! {
    /// Until when this instance leaves Redis alone.
    static AWAY: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What is known before a text is analysed.
#[derive(Debug, PartialEq)]
pub enum Recalled {
    /// What [`record`] was given to keep for this text.
    Known(String),
    /// Somebody else is asking the model about this very text.
    Asked,
    /// The model may be asked, in this dialect to begin with.
    Ask(Permit, Dialect),
    /// The model is to be left alone.
    LeaveAlone,
}

/// Where the marks of a text are kept.
pub struct Place {
    /// The key.
    pub key: String,
    /// For how long.
    pub expiry: Duration,
}

/// Asks what is known of `model`, and of the text whose marks are kept at `place`.
pub async fn recall(model: &Model, place: Option<&Place>) -> Recalled {
    let call = model.timeout + CALL_MARGIN;
    let arguments = [milliseconds(call), MOST_WAITING.into(), milliseconds(KNOWN)];
    let arguments = arguments.map(|number| number.to_string());
    let limit = RECALL_LIMIT.min(model.timeout / 2);
    let answer = eval(model, limit, RECALL, place, arguments.into()).await;
    match answer.as_deref().and_then(recalled) {
        Some(recalled) => {
            match recalled {
                Recalled::LeaveAlone => circuit::follow(Some(REDIS_PAUSE)),
                Recalled::Ask(Permit::Ask, _) => circuit::follow(None),
                Recalled::Ask(Permit::Trial, _) | Recalled::Known(_) | Recalled::Asked => {}
            }
            recalled
        }
        None => circuit::permit(call).map_or(Recalled::LeaveAlone, |permit| {
            Recalled::Ask(permit, Dialect::known())
        }),
    }
}

/// Looks for the marks at `place` that somebody else is asking for, without leave to ask instead.
pub async fn look(model: &Model, place: &Place) -> Recalled {
    let key = RedisParameter::Binary(place.key.as_bytes().to_vec());
    let answer = execute(model, RECORD_LIMIT, "GET", vec![key]).await;
    match answer.as_deref() {
        Some([RedisResult::Binary(value)]) if value == b"?" => Recalled::Asked,
        Some([RedisResult::Binary(value)]) => {
            Recalled::Known(String::from_utf8_lossy(value).into_owned())
        }
        _ => Recalled::LeaveAlone,
    }
}

fn recalled(answer: &[RedisResult]) -> Option<Recalled> {
    let [RedisResult::Binary(verdict), RedisResult::Binary(value)] = answer else {
        return None;
    };
    let value = String::from_utf8_lossy(value);
    let ask = |permit| Recalled::Ask(permit, Dialect::decode(value.parse().unwrap_or_default()));
    match verdict.as_slice() {
        b"known" => Some(Recalled::Known(value.into_owned())),
        b"asked" => Some(Recalled::Asked),
        b"ask" => Some(ask(Permit::Ask)),
        b"trial" => Some(ask(Permit::Trial)),
        b"leave" => Some(Recalled::LeaveAlone),
        _ => None,
    }
}

/// Notes what came of asking `model`, and keeps `marks` at `place` where there are any.
pub async fn record(
    model: &Model,
    permit: Permit,
    outcome: Outcome,
    dialect: Option<Dialect>,
    place: Option<&Place>,
    marks: Option<String>,
) -> News {
    let (outcome_name, pause) = match outcome {
        Outcome::Answered => ("answered", Duration::ZERO),
        Outcome::Failed => ("failed", PAUSE),
        Outcome::Paused(pause) => ("paused", pause),
    };
    let permit_name = match permit {
        Permit::Ask => "ask",
        Permit::Trial => "trial",
    };
    let numbers = [
        milliseconds(pause),
        FAILURES.into(),
        milliseconds(LONGEST_PAUSE),
        milliseconds(KNOWN),
        milliseconds(DIALECT_KNOWN),
    ];
    let mut arguments = vec![outcome_name.to_owned(), permit_name.to_owned()];
    arguments.extend(numbers.map(|number| number.to_string()));
    let spoken = dialect.map(|dialect| dialect.encode().to_string());
    arguments.push(spoken.unwrap_or_default());
    if let (Some(place), Some(marks)) = (place, marks) {
        arguments.extend([marks, milliseconds(place.expiry).to_string()]);
    }
    let answer = eval(model, RECORD_LIMIT, RECORD, place, arguments).await;
    let news = answer.as_deref().and_then(news);
    news.unwrap_or_else(|| circuit::note(permit, outcome))
}

fn news(answer: &[RedisResult]) -> Option<News> {
    let [RedisResult::Binary(state), RedisResult::Int64(pause)] = answer else {
        return None;
    };
    match state.as_slice() {
        b"closed" => Some(News::Closed),
        b"opened" => Some(News::Opened(Duration::from_millis(pause.unsigned_abs()))),
        b"open" => Some(News::Open),
        _ => None,
    }
}

/// Runs a script, as [`execute`] runs a command.
async fn eval(
    model: &Model,
    limit: Duration,
    script: &str,
    place: Option<&Place>,
    arguments: Vec<String>,
) -> Option<Vec<RedisResult>> {
    let keys = [Some(&model.memory_key), place.map(|place| &place.key)];
    let number = keys.iter().flatten().count().to_string();
    let parameters = [script, number.as_str()]
        .into_iter()
        .chain(keys.into_iter().flatten().map(String::as_str))
        .chain(arguments.iter().map(String::as_str))
        .map(|parameter| RedisParameter::Binary(parameter.as_bytes().to_vec()));
    execute(model, limit, "EVAL", parameters.collect()).await
}

/// Runs a command; `None` when Redis is away or was away just now.
async fn execute(
    model: &Model,
    limit: Duration,
    command: &str,
    parameters: Vec<RedisParameter>,
) -> Option<Vec<RedisResult>> {
    if AWAY.get().is_some_and(|end| Instant::now() < end) {
        return None;
    }
    let answer = execute_within(limit, &model.redis_url, command, parameters).await;
    let away = answer.is_err().then(|| Instant::now() + REDIS_PAUSE);
    AWAY.set(away);
    answer.ok()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(text: &str) -> RedisResult {
        RedisResult::Binary(text.as_bytes().to_vec())
    }

    #[test]
    fn the_scripts_answers_are_read() {
        let read = |verdict, value| recalled(&[binary(verdict), binary(value)]);
        assert_eq!(
            read("known", "+0-5"),
            Some(Recalled::Known("+0-5".to_owned()))
        );
        let object = Dialect::decode(1);
        assert_eq!(
            read("ask", "1"),
            Some(Recalled::Ask(Permit::Ask, object)),
            "with the dialect that works"
        );
        let strictest = Dialect::decode(0);
        assert_eq!(
            read("trial", "nonsense"),
            Some(Recalled::Ask(Permit::Trial, strictest))
        );
        assert_eq!(read("leave", "0"), Some(Recalled::LeaveAlone));
        assert_eq!(read("asked", ""), Some(Recalled::Asked));
        let opened = [binary("opened"), RedisResult::Int64(20_000)];
        assert_eq!(news(&opened), Some(News::Opened(PAUSE * 2)));
    }

    #[test]
    fn other_answers_are_those_of_no_redis() {
        for other in [
            &[][..],
            &[RedisResult::Nil],
            &[binary("perhaps"), binary("0")],
            &[binary("ask"), RedisResult::Nil],
        ] {
            assert_eq!(recalled(other), None);
            assert_eq!(news(other), None);
        }
    }
}
