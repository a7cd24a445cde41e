//! Reports the causes of responses 500 and 503 to Sentry, after the response was sent.
//!
//! An event has what the log line has: request id, trace id, method, route pattern, status and cause. It has no text,
//! email, token, address or user id. The envelope is three lines of JSON, see
//! <https://develop.sentry.dev/sdk/data-model/envelopes/>.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::Utc;
use http::{Request, StatusCode, header};
use serde::Serialize;
use spin_sdk::{redis::RedisResult, wasip3::random::random::get_random_u64};

use super::{client::send, context::Context};
use crate::{
    background::run_after_response, config::Secret, dsn::Dsn, error::Error, log::Level, redis,
    time::timestamp, timeout::timeout,
};

/// Name and version of this program, as Sentry shows it.
const RELEASE: &str = concat!("thought-diary@", env!("CARGO_PKG_VERSION"));

/// Events per minute of all instances.
const MAX_PER_MINUTE: i64 = 20;

/// Time between two events of one instance. It bounds the events while Redis cannot count.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Counts the events of the last minute.
const COUNT: &str = "
local count = redis.call('INCR', KEYS[1])
if count == 1 then
    redis.call('EXPIRE', KEYS[1], 60)
end
return count
";

/// Time for Redis to count, and for Sentry to accept an event.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A response that Sentry is told about.
pub struct Failure {
    /// The method of the request.
    pub method: String,
    /// The route's pattern.
    pub route: &'static str,
    /// The status of the response.
    pub status: StatusCode,
    /// The cause in the log.
    pub cause: String,
}

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Sends an event in the background, unless there were too many. Nothing waits for it, and nothing is sent again.
pub fn report(dsn: &'static Dsn, redis_url: &'static Secret, context: Context, failure: Failure) {
    let now = Instant::now();
    if LAST
        .get()
        .is_some_and(|last| now.duration_since(last) < MIN_INTERVAL)
    {
        return;
    }
    LAST.set(Some(now));
    run_after_response(async move {
        if !is_permitted(redis_url).await {
            return;
        }
        let problem = match timeout(TIMEOUT, post(dsn, &context, &failure)).await {
            Some(Ok(status)) if status.is_success() => return,
            Some(Ok(status)) => format!("responded with {status}"),
            Some(Err(())) => "is unreachable".to_owned(),
            None => "did not answer in time".to_owned(),
        };
        context.log(
            Level::Warn,
            &format!("an event was not reported: Sentry {problem}"),
        );
    });
}

/// Returns whether fewer than [`MAX_PER_MINUTE`] events were sent. While Redis is unreachable, [`MIN_INTERVAL`] is the
/// only limit.
async fn is_permitted(redis_url: &Secret) -> bool {
    let arguments = [COUNT, "1", "{sentry}:events"];
    let counted = redis::execute_within(TIMEOUT, redis_url, "EVAL", &arguments).await;
    match counted.as_deref() {
        Ok([RedisResult::Int64(count)]) => *count <= MAX_PER_MINUTE,
        Ok(_) => false,
        Err(Error::Unavailable(_)) => true,
        Err(_) => false,
    }
}

async fn post(dsn: &Dsn, context: &Context, failure: &Failure) -> Result<StatusCode, ()> {
    let body = Bytes::from(envelope(context, failure));
    let request = Request::post(&dsn.url)
        .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
        .header(header::CONTENT_LENGTH, body.len())
        .header("x-sentry-auth", &dsn.authorization)
        .body(body)
        .map_err(drop)?;
    let response = send(request).await.map_err(drop)?;
    Ok(response.status)
}

/// An event, in the order in which Sentry documents its attributes.
#[derive(Serialize)]
struct Event<'a> {
    event_id: &'a str,
    timestamp: &'a str,
    platform: &'static str,
    level: &'static str,
    logger: &'static str,
    transaction: String,
    release: &'static str,
    message: Message<'a>,
    tags: Tags<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    formatted: &'a str,
}

#[derive(Serialize)]
struct Tags<'a> {
    component: &'static str,
    method: &'a str,
    route: &'static str,
    status: u16,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

fn envelope(context: &Context, failure: &Failure) -> String {
    let id = format!("{:016x}{:016x}", get_random_u64(), get_random_u64());
    let now = timestamp(Utc::now());
    let event = Event {
        event_id: &id,
        timestamp: &now,
        platform: "other",
        level: "error",
        logger: context.component(),
        transaction: format!("{} {}", failure.method, failure.route),
        release: RELEASE,
        message: Message {
            formatted: &failure.cause,
        },
        tags: Tags {
            component: context.component(),
            method: &failure.method,
            route: failure.route,
            status: failure.status.as_u16(),
            request_id: context.request_id(),
            trace_id: context.trace_id(),
        },
    };
    let event = serde_json::to_string(&event).unwrap_or_default();
    let length = event.len();
    format!(
        "{{\"event_id\":\"{id}\",\"sent_at\":\"{now}\"}}\n\
         {{\"type\":\"event\",\"length\":{length}}}\n{event}\n"
    )
}
