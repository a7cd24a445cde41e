//! Counts and times of all instances together, which `GET /internal/metrics` shows to Prometheus.
//!
//! An instance adds up what it counts in memory ([`count`], [`observe`]), and adds that to the totals in Redis twice a
//! second and after 128 requests, when a response was sent. A flush is one command, so a request pays a fraction of it.
//! Redis adds each batch once, also if it is sent again. Lost are the batches that an instance cannot send before it
//! ends: the last half second of a process that is killed, and what happens while Redis is unreachable for longer
//! than instances live.

mod catalog;
mod counts;
mod text;
mod totals;

use std::time::Duration;

use http::{Method, StatusCode};

pub use catalog::{
    BACKLOG, CACHE_HITS, LOGINS_REFUSED, MODEL_CALL_DURATION, MODEL_CALLS, MODEL_FALLBACKS, Metric,
    POSTGRES_CONNECTION_WAIT, POSTGRES_UP,
};
use catalog::{REQUEST_DURATION, REQUESTS};
pub use counts::{component, count, observe, set_component};
pub use text::render;
pub use totals::{read_totals, schedule_flush};

/// Counts a request that was answered.
pub fn count_request(method: &Method, route: &'static str, status: StatusCode, duration: Duration) {
    let route = if route.is_empty() { "none" } else { route };
    let labels = [component(), method_label(method), route];
    counts::count_with_status(&REQUESTS, &labels, status.as_u16());
    observe(&REQUEST_DURATION, &labels, duration);
}

/// Returns a method as a label. Clients could invent any number of others, and each value costs memory.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_label_for_all_unusual_methods() {
        let label = |name: &str| method_label(&name.parse().expect("a method"));
        assert_eq!(
            ["GET", "DELETE", "PATCH", "BREW"].map(label),
            ["GET", "DELETE", "other", "other"]
        );
    }
}
