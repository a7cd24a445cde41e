//! Structured logs: one JSON object per line on standard error, which Spin writes to its log files or the pod's log.

use std::{
    cell::RefCell,
    io::Write,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::Duration,
};

use chrono::Utc;
use serde::Serialize;
use spin_sdk::{time::sleep, wasip3::spawn};

use crate::time::timestamp;

/// The severity of a line. The variable `log_level` names the least severe level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Level {
    /// An operator has to act: a setting is invalid, or the code has a defect.
    Error,
    /// A dependency failed and the service handled it.
    Warn,
    /// Normal operation: a line per request.
    Info,
    /// Details for developers.
    Debug,
}

impl Level {
    /// Parses the value of `log_level`: `error`, `warn`, `info` or `debug`.
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "error" => Some(Self::Error),
            "warn" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            _ => None,
        }
    }
}

/// The least severe level that is written. `Info` until the settings are loaded.
static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// The longest time that a line of level info or debug waits for others. Each write costs Spin up to 30 µs, as much as the rest
/// of a small request, so the lines of an instance are written together. An instance that is killed loses those that wait.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of waiting lines that are written at once.
const BUFFER_LIMIT: usize = 16 * 1024;

thread_local! {
    /// Lines that are not written yet.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Sets the least severe level that is written from now on.
pub fn set_threshold(level: Level) {
    THRESHOLD.store(level as u8, Relaxed);
}

/// Returns whether lines of this level are written.
pub fn enabled(level: Level) -> bool {
    level as u8 <= THRESHOLD.load(Relaxed)
}

/// One line. Its fields must hold no diary text, token, email or secret.
#[derive(Serialize)]
pub struct Line<'a> {
    /// The severity.
    pub level: Level,
    /// The component that writes the line.
    pub component: &'a str,
    /// The request's id, as in `X-Request-Id`.
    pub request_id: &'a str,
    /// The id of the trace in the request's `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// What happened; for a request that failed, the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// Set on the one line that every request gets when its response is ready.
    #[serde(flatten)]
    pub request: Option<RequestSummary<'a>>,
}

/// A finished request.
#[derive(Serialize)]
pub struct RequestSummary<'a> {
    /// The method, `GET` for example.
    pub method: &'a str,
    /// The route's pattern, `/diaries/{id}` for example. Paths and queries are never logged.
    pub route: &'a str,
    /// The status of the response.
    pub status: u16,
    /// Milliseconds from the call of the component to the finished response.
    pub duration_ms: f64,
    /// Milliseconds of these in Postgres. Absent if it was not called; so are the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_ms: Option<f64>,
    /// Milliseconds in Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_ms: Option<f64>,
    /// Milliseconds in the model's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_ms: Option<f64>,
    /// The user, if a token was valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i32>,
    /// Whether the request took longer than `slow_request_ms`.
    pub slow: bool,
}

/// Writes a line if its level is enabled.
///
/// A line that cannot be written is dropped: a full disk must not fail a request.
pub fn write(line: &Line<'_>) {
    #[derive(Serialize)]
    struct Timed<'a> {
        time: String,
        #[serde(flatten)]
        line: &'a Line<'a>,
    }
    if !enabled(line.level) {
        return;
    }
    let timed = Timed {
        time: timestamp(Utc::now()),
        line,
    };
    let Ok(text) = serde_json::to_vec(&timed) else {
        return;
    };
    let mut buffer = BUFFER.take();
    let is_first = buffer.is_empty();
    buffer.extend(text);
    buffer.push(b'\n');
    let is_full = buffer.len() > BUFFER_LIMIT;
    BUFFER.set(buffer);
    // Warnings and errors are written at once, because the instance may be about to end.
    if is_full || line.level <= Level::Warn {
        flush();
    } else if is_first {
        spawn(async {
            sleep(FLUSH_INTERVAL).await;
            flush();
        });
    }
}

/// Writes the waiting lines, together, so that lines of concurrent instances do not interleave.
fn flush() {
    let _ = std::io::stderr().write_all(&BUFFER.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_levels_by_severity() {
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        assert!(enabled(Level::Info) && !enabled(Level::Debug));
        assert_eq!(Level::parse("loud"), None);
    }

    #[test]
    fn writes_a_request_as_one_flat_object() {
        let line = Line {
            level: Level::Info,
            component: "entries",
            request_id: "r1",
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            message: None,
            request: Some(RequestSummary {
                method: "GET",
                route: "/diaries/{id}",
                status: 200,
                duration_ms: 1.5,
                postgres_ms: Some(0.9),
                redis_ms: None,
                model_ms: None,
                user_id: Some(7),
                slow: false,
            }),
        };
        assert_eq!(
            serde_json::to_string(&line).expect("serializes"),
            r#"{"level":"info","component":"entries","request_id":"r1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","method":"GET","route":"/diaries/{id}","status":200,"duration_ms":1.5,"postgres_ms":0.9,"user_id":7,"slow":false}"#
        );
    }
}
