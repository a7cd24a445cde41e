//! The totals in Prometheus's text format.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use super::{
    catalog::{BUCKETS, Gauge, INFINITY, METRICS, Metric},
    counts::SUM,
};

/// Returns all metrics with these totals, and then the gauges, those without a value only by name.
///
/// Totals of other names are left out; a newer version of the service may count them.
pub fn render(totals: &[(String, u64)], gauges: &[(&Gauge, Option<i64>)]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, totals, gauges);
    text
}

fn write_all(
    text: &mut String,
    totals: &[(String, u64)],
    gauges: &[(&Gauge, Option<i64>)],
) -> fmt::Result {
    for metric in METRICS {
        let kind = if metric.is_histogram {
            "histogram"
        } else {
            "counter"
        };
        write_head(text, metric.name, metric.help, kind)?;
        let mut series: BTreeMap<Vec<&str>, BTreeMap<&str, u64>> = BTreeMap::new();
        for (field, total) in totals {
            if let Some((labels, part)) = parse(metric, field) {
                series.entry(labels).or_default().insert(part, *total);
            }
        }
        for (labels, parts) in series {
            if metric.is_histogram {
                write_histogram(text, metric, &labels, &parts)?;
            } else {
                let total = parts.get("").copied().unwrap_or_default();
                let labels = label_pairs(metric, &labels, None);
                writeln!(text, "{}{labels} {total}", metric.name)?;
            }
        }
    }
    for (gauge, value) in gauges {
        write_head(text, gauge.name, gauge.help, "gauge")?;
        if let Some(value) = value {
            writeln!(text, "{} {value}", gauge.name)?;
        }
    }
    Ok(())
}

fn write_head(text: &mut String, name: &str, help: &str, kind: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Splits a field into its labels and, for a histogram, the bucket or [`SUM`]. `None` if it is of another metric.
fn parse<'a>(metric: &Metric, field: &'a str) -> Option<(Vec<&'a str>, &'a str)> {
    let mut words = field.split(' ');
    if words.next() != Some(metric.name) {
        return None;
    }
    let mut labels: Vec<&str> = words.collect();
    let part = match metric.is_histogram {
        true => labels.pop()?,
        false => "",
    };
    let is_valid = |label: &&str| !label.contains(['"', '\\', '\n']);
    (labels.len() == metric.labels.len() && labels.iter().all(is_valid)).then_some((labels, part))
}

/// Writes the buckets, each with the counts of those before it, the sum and the count.
fn write_histogram(
    text: &mut String,
    metric: &Metric,
    labels: &[&str],
    parts: &BTreeMap<&str, u64>,
) -> fmt::Result {
    let name = metric.name;
    let part = |part| parts.get(part).copied().unwrap_or_default();
    let mut count = 0;
    for bound in BUCKETS.iter().map(|(_, name)| *name).chain([INFINITY]) {
        count += part(bound);
        let labels = label_pairs(metric, labels, Some(bound));
        writeln!(text, "{name}_bucket{labels} {count}")?;
    }
    let labels = label_pairs(metric, labels, None);
    let microseconds = part(SUM);
    let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
    writeln!(text, "{name}_sum{labels} {seconds}.{fraction:06}")?;
    writeln!(text, "{name}_count{labels} {count}")
}

/// Returns `{name="value",…}`, or an empty string without labels.
fn label_pairs(metric: &Metric, values: &[&str], bound: Option<&str>) -> String {
    let names = metric.labels.iter().copied().chain(["le"]);
    let values = values.iter().copied().chain(bound);
    let pairs: Vec<String> = names
        .zip(values)
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalog::{BACKLOG, POSTGRES_UP};

    fn totals(fields: &[(&str, u64)]) -> Vec<(String, u64)> {
        let owned = |(field, total): &(&str, u64)| ((*field).to_owned(), *total);
        fields.iter().map(owned).collect()
    }

    /// Returns the samples, without comments.
    fn samples(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn writes_counters_with_their_labels() {
        let totals = totals(&[
            ("http_requests_total entries GET /diaries/{id} 200", 7),
            ("model_cache_hits_total", 3),
        ]);
        assert_eq!(
            samples(&render(&totals, &[])),
            [
                "http_requests_total{component=\"entries\",method=\"GET\",route=\"/diaries/{id}\",status=\"200\"} 7",
                "model_cache_hits_total 3",
            ]
        );
    }

    #[test]
    fn writes_cumulative_buckets() {
        let totals = totals(&[
            ("postgres_connection_wait_seconds auth 0.01", 2),
            ("postgres_connection_wait_seconds auth +Inf", 1),
            ("postgres_connection_wait_seconds auth sum", 12_000_345),
        ]);
        let text = render(&totals, &[]);
        let samples = samples(&text);
        assert_eq!(samples.len(), 14);
        let name = "postgres_connection_wait_seconds";
        for expected in [
            format!("{name}_bucket{{component=\"auth\",le=\"0.005\"}} 0"),
            format!("{name}_bucket{{component=\"auth\",le=\"0.01\"}} 2"),
            format!("{name}_bucket{{component=\"auth\",le=\"10\"}} 2"),
            format!("{name}_bucket{{component=\"auth\",le=\"+Inf\"}} 3"),
            format!("{name}_sum{{component=\"auth\"}} 12.000345"),
            format!("{name}_count{{component=\"auth\"}} 3"),
        ] {
            assert!(samples.contains(&&*expected), "{expected}: {text}");
        }
    }

    #[test]
    fn leaves_out_what_is_not_a_known_series() {
        let totals = totals(&[
            ("", 1),
            ("http_requests_total entries GET", 1),
            ("http_requests_total entries GET /x 200 more", 1),
            ("logins_refused_total \"\n", 1),
            ("somebody_elses_total x", 1),
        ]);
        assert_eq!(samples(&render(&totals, &[])), [""; 0]);
    }

    #[test]
    fn describes_every_metric_and_shows_known_gauges() {
        let gauges = [(&BACKLOG, None), (&POSTGRES_UP, Some(0))];
        let text = render(&[], &gauges);
        assert_eq!(samples(&text), ["postgres_up 0"]);
        let gauges = gauges.map(|(gauge, _)| gauge.name);
        for name in METRICS.iter().map(|metric| metric.name).chain(gauges) {
            assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1);
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
        }
    }
}
