//! What this instance has counted and not yet flushed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use super::catalog::{BUCKETS, INFINITY, Metric};

/// Largest number of labels besides the status.
const MAX_LABELS: usize = 3;

/// A metric with values of its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    metric: &'static str,
    labels: [&'static str; MAX_LABELS],
    /// 0 for a metric without that label.
    status: u16,
}

impl Series {
    fn new(metric: &Metric, labels: &[&'static str], status: u16) -> Self {
        let mut all = [""; MAX_LABELS];
        for (place, label) in all.iter_mut().zip(labels) {
            *place = label;
        }
        Self {
            metric: metric.name,
            labels: all,
            status,
        }
    }

    /// Returns the name of the series in Redis: metric and labels, separated by spaces.
    fn field(&self) -> String {
        let mut field = self.metric.to_owned();
        for label in self.labels.into_iter().filter(|label| !label.is_empty()) {
            field.push(' ');
            field.push_str(label);
        }
        if self.status != 0 {
            field.push_str(&format!(" {}", self.status));
        }
        field
    }
}

/// Durations, counted in buckets.
#[derive(Debug, Default)]
struct Histogram {
    /// In the order of [`BUCKETS`]. The last one is [`INFINITY`].
    buckets: [u64; BUCKETS.len() + 1],
    microseconds: u64,
}

/// The name of the field with the sum of a histogram's durations, in microseconds.
pub const SUM: &str = "sum";

#[derive(Default)]
struct Counts {
    counters: BTreeMap<Series, u64>,
    histograms: BTreeMap<Series, Histogram>,
}

thread_local! {
    static COUNTS: RefCell<Counts> = RefCell::default();
    /// The name of this component.
    static COMPONENT: Cell<&'static str> = const { Cell::new("") };
}

/// Sets the component, for metrics that are counted where it is not known.
pub fn set_component(component: &'static str) {
    COMPONENT.set(component);
}

/// Returns the component.
pub fn component() -> &'static str {
    COMPONENT.get()
}

/// Adds one to a counter. `labels` are in the order of the metric's label names.
pub fn count(metric: &'static Metric, labels: &[&'static str]) {
    count_with_status(metric, labels, 0);
}

/// As [`count`], for a metric whose last label is a status.
pub fn count_with_status(metric: &'static Metric, labels: &[&'static str], status: u16) {
    let series = Series::new(metric, labels, status);
    COUNTS.with_borrow_mut(|counts| *counts.counters.entry(series).or_default() += 1);
}

/// Adds a duration to a histogram.
pub fn observe(metric: &'static Metric, labels: &[&'static str], duration: Duration) {
    let seconds = duration.as_secs_f64();
    let bucket = BUCKETS.iter().take_while(|(bound, _)| *bound < seconds);
    let bucket = bucket.count();
    COUNTS.with_borrow_mut(|counts| {
        let series = Series::new(metric, labels, 0);
        let histogram = counts.histograms.entry(series).or_default();
        if let Some(bucket) = histogram.buckets.get_mut(bucket) {
            *bucket += 1;
        }
        histogram.microseconds += u64::try_from(duration.as_micros()).unwrap_or_default();
    });
}

/// Returns whether nothing was counted since the last [`take`].
pub fn are_empty() -> bool {
    COUNTS.with_borrow(|counts| counts.counters.is_empty() && counts.histograms.is_empty())
}

/// Takes all counts, as fields of the totals in Redis and their increments.
pub fn take() -> Vec<(String, u64)> {
    let Counts {
        counters,
        histograms,
    } = COUNTS.take();
    let counters = counters.into_iter();
    let mut fields: Vec<_> = counters
        .map(|(series, count)| (series.field(), count))
        .collect();
    let names = BUCKETS.iter().map(|(_, name)| *name).chain([INFINITY]);
    for (series, histogram) in histograms {
        let field = series.field();
        for (name, count) in names.clone().zip(histogram.buckets) {
            if count > 0 {
                fields.push((format!("{field} {name}"), count));
            }
        }
        fields.push((format!("{field} {SUM}"), histogram.microseconds));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalog::{MODEL_CALL_DURATION, REQUEST_DURATION, REQUESTS};

    #[test]
    fn adds_up_each_series_until_it_is_taken() {
        take();
        let labels = ["entries", "GET", "/diaries"];
        for status in [200, 200, 401] {
            count_with_status(&REQUESTS, &labels, status);
        }
        for milliseconds in [1, 5, 6, 11_000] {
            let duration = Duration::from_millis(milliseconds);
            observe(&REQUEST_DURATION, &labels, duration);
        }
        observe(&MODEL_CALL_DURATION, &[], Duration::from_secs(1));
        let expected = [
            ("http_requests_total entries GET /diaries 200", 2),
            ("http_requests_total entries GET /diaries 401", 1),
            (
                "http_request_duration_seconds entries GET /diaries 0.005",
                2,
            ),
            ("http_request_duration_seconds entries GET /diaries 0.01", 1),
            ("http_request_duration_seconds entries GET /diaries +Inf", 1),
            (
                "http_request_duration_seconds entries GET /diaries sum",
                11_012_000,
            ),
            ("model_call_duration_seconds 1", 1),
            ("model_call_duration_seconds sum", 1_000_000),
        ];
        let expected = expected.map(|(field, count)| (field.to_owned(), count));
        assert_eq!(take(), expected);
        assert_eq!(take(), []);
    }
}
