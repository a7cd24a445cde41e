//! Timestamps of the API.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Fails unless a timestamp is RFC 3339 in UTC with milliseconds, and at most five seconds from now.
#[track_caller]
pub fn assert_just_now(timestamp: &Value) {
    let text = timestamp.as_str().expect("a timestamp is a string");
    let time: DateTime<Utc> = text.parse().expect("a timestamp is RFC 3339");
    let formatted = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(text, formatted);
    let difference = (Utc::now() - time).num_seconds().abs();
    assert!(difference <= 5, "{text} is {difference} s from now");
}
