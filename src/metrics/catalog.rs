//! The list of metrics. Names follow <https://prometheus.io/docs/practices/naming/>.

/// A metric whose values all instances add up.
#[derive(Debug)]
pub struct Metric {
    /// Its name, without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// A sentence for `# HELP`.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// True for a histogram of durations.
    pub is_histogram: bool,
}

/// Upper bounds of the buckets of all histograms, in seconds. Durations beyond the last are in `+Inf`.
pub const BUCKETS: [(f64, &str); 11] = [
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.5, "2.5"),
    (5.0, "5"),
    (10.0, "10"),
];

/// A value that is read when Prometheus asks for it.
#[derive(Debug)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// A sentence for `# HELP`.
    pub help: &'static str,
}

/// Bounded, so that it costs the same however many there are.
pub static BACKLOG: Gauge = Gauge {
    name: "analysis_backlog_entries",
    help: "Entries that the model has not marked yet, counted up to 10,000.",
};

/// 0 or 1.
pub static POSTGRES_UP: Gauge = Gauge {
    name: "postgres_up",
    help: "Whether Postgres answered during this scrape.",
};

/// The name of the bucket without a bound.
pub const INFINITY: &str = "+Inf";

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $($(#[$doc])* pub static $constant: Metric = Metric {
            name: $name,
            help: $help,
            labels: &[$($label),*],
            is_histogram: metrics!($kind),
        };)+

        /// All of them.
        pub static METRICS: &[&Metric] = &[$(&$constant),+];
    };
    (counter) => { false };
    (histogram) => { true };
}

metrics! {
    /// See its help, as for all others.
    REQUESTS = counter "http_requests_total" ["component", "method", "route", "status"]
        "Requests answered, by component, method, route pattern and status.";
    /// Until the headers of the response.
    REQUEST_DURATION = histogram "http_request_duration_seconds" ["component", "method", "route"]
        "Time from the call of the component to the response.";
    /// Reasons: `invalid_credentials`, `rate_limit`, `unavailable`.
    LOGINS_REFUSED = counter "logins_refused_total" ["reason"]
        "Logins that were refused, by reason.";
    /// Outcomes: `success`, `unusable`, `failure`.
    MODEL_CALLS = counter "model_calls_total" ["outcome"]
        "Analyses requested from the model's server, by outcome.";
    /// Without the lookup in Redis.
    MODEL_CALL_DURATION = histogram "model_call_duration_seconds" []
        "Time of an analysis by the model's server.";
    /// Reasons: those of [`Fallback`](crate::analysis::Fallback) but `pending`, after which the model is called.
    MODEL_FALLBACKS = counter "model_fallbacks_total" ["reason"]
        "Texts that the lexicon marked in place of the model, by reason.";
    /// A text that is written again.
    CACHE_HITS = counter "model_cache_hits_total" []
        "Texts whose marks of the model were cached.";
    /// Spin's pool makes requests wait here when all connections are in use.
    POSTGRES_CONNECTION_WAIT = histogram "postgres_connection_wait_seconds" ["component"]
        "Time to get a connection to Postgres from the pool.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_ascend_and_have_their_bounds_as_names() {
        assert!(BUCKETS.is_sorted_by(|a, b| a.0 < b.0));
        for (bound, name) in BUCKETS {
            assert_eq!(name.parse(), Ok(bound));
        }
    }
}
