//! One JSON object per line on standard error, which Spin passes to its log files and the pod's log.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use serde::Serialize;

/// How much a line matters; the variable `log_level` names the least that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Level {
    /// Somebody has to act: a setting is wrong, a defect showed.
    Error,
    /// Something this service depends on failed and was coped with.
    Warn,
    /// Rare events in normal running.
    Info,
    /// One line per request.
    Debug,
}

impl Level {
    /// Reads the value of `log_level`: `error`, `warn`, `info` or `debug`.
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

/// The least important level that is written; `Info` until the settings are read.
static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sets the least important level that is written from now on.
pub fn set_threshold(level: Level) {
    THRESHOLD.store(level as u8, Relaxed);
}

/// Whether a line of this level would be written: ask before building a costly one.
pub fn enabled(level: Level) -> bool {
    level as u8 <= THRESHOLD.load(Relaxed)
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: Level,
    component: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    message: &'a str,
}

/// Writes one line. `message` must hold no text, token, email or secret of anybody.
pub fn write(level: Level, component: &str, request_id: &str, message: &str) {
    if !enabled(level) {
        return;
    }
    let line = Line {
        timestamp: crate::http::timestamp(chrono::Utc::now()),
        level,
        component,
        request_id,
        message,
    };
    if let Ok(text) = serde_json::to_string(&line) {
        eprintln!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_from_grave_to_chatty() {
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        assert!(enabled(Level::Info) && !enabled(Level::Debug));
        assert_eq!(Level::parse("loud"), None);
    }
}
