//! Metrics in Prometheus's text format.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Method;

use super::client::Client;
use super::env::SWEEP_TOKEN;
use super::response::Response;

/// How long counts may take from a component to the totals on a busy machine.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends `GET /internal/metrics` as an operator.
pub async fn request(client: &Client) -> Response {
    let request = client.request(Method::GET, "/internal/metrics");
    request.bearer(SWEEP_TOKEN).send().await
}

/// The samples of one scrape, by name and labels as they are written.
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the metrics.
    pub async fn scrape(client: &Client) -> Self {
        let response = request(client).await.expect_status(200);
        let text = response.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a name and a value");
            (series.to_owned(), value.parse().expect("a number"))
        };
        Self(lines.map(sample).collect())
    }

    /// Returns the value of a series.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// Returns all samples of a metric.
    pub fn of(&self, name: &str) -> BTreeMap<&str, f64> {
        let is_of = |series: &str| series == name || series.starts_with(&format!("{name}{{"));
        let samples = self.0.iter().filter(|(series, _)| is_of(series));
        samples
            .map(|(series, value)| (series.as_str(), *value))
            .collect()
    }
}

/// Waits until each series has its expected value, and fails if one has another value in the end.
pub async fn wait_for(client: &Client, expected: &[(&str, f64)]) -> Metrics {
    let start = Instant::now();
    loop {
        let metrics = Metrics::scrape(client).await;
        let found: Vec<_> = expected
            .iter()
            .map(|(series, _)| (*series, metrics.get(series).unwrap_or_default()))
            .collect();
        if found == expected {
            return metrics;
        }
        if start.elapsed() > FLUSH_TIMEOUT {
            assert_eq!(found, expected, "{:#?}", metrics.0);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
