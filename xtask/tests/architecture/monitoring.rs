//! The alerts and the dashboard name metrics that the service has, and each alert has its section in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::promql::{self, Matcher};
use crate::{assert_none, guest_sources, root};

const CATALOG: &str = "src/metrics/catalog.rs";
const ALERTS: &str = "deploy/monitoring/alerts.yml";
const DASHBOARD: &str = "deploy/monitoring/dashboard.json";
const RUNBOOK: &str = "docs/troubleshooting.md";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The series that Prometheus gets, with their labels.
type Series = BTreeMap<String, BTreeSet<String>>;

/// Returns the series of the service.
fn series(catalog: &str) -> Series {
    let mut found = Series::new();
    for line in catalog.lines() {
        let mut quoted = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let name = quoted.next().unwrap_or_default();
        let mut labels: BTreeSet<String> = quoted.collect();
        if line.contains(" = counter \"") || line.trim_start().starts_with("name: \"") {
            found.insert(name, labels);
        } else if line.contains(" = histogram \"") {
            for part in ["_sum", "_count"] {
                found.insert(format!("{name}{part}"), labels.clone());
            }
            labels.insert("le".to_owned());
            found.insert(format!("{name}_bucket"), labels);
        }
    }
    found
}

/// Returns the values of the lines `key: value`.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key)?.strip_prefix(": ")
    };
    yaml.lines().filter_map(value).collect()
}

/// A PromQL expression of an alert, a rule or a panel.
struct Query<'a> {
    file: &'a str,
    expression: &'a str,
    /// The text of a panel's legend, with labels in double braces.
    legend: &'a str,
}

/// Returns findings for series that neither the service nor a rule defines, and for labels and values that they lack.
fn unknown_names(query: &Query, known: &Series, sources: &str) -> Vec<String> {
    let Query {
        file,
        expression,
        legend,
    } = query;
    let mut found = Vec::new();
    let names = promql::names(expression);
    for name in names.iter().filter(|name| !known.contains_key(*name)) {
        found.push(format!(
            "{file}: {name} is no metric in {CATALOG} and no rule in {ALERTS}"
        ));
    }
    let labels = |series: &str| known.get(series).cloned().unwrap_or_default();
    for Matcher {
        series,
        label,
        value,
    } in promql::matchers(expression)
    {
        if !labels(&series).contains(&label) {
            found.push(format!("{file}: {series} has no label {label}"));
        }
        // Patterns, numbers and paths are not in the sources as they are here.
        let is_word = value
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        if is_word && !sources.contains(&format!("\"{value}\"")) {
            found.push(format!("{file}: {series} has no {label} {value}"));
        }
    }
    let groups = promql::groups(expression);
    let all: BTreeSet<String> = names.iter().flat_map(|name| labels(name)).collect();
    for label in groups.difference(&all) {
        found.push(format!(
            "{file}: no series in `{expression}` has the label {label}"
        ));
    }
    for label in legend.split("{{").skip(1) {
        let label = label.split("}}").next().unwrap_or_default();
        if !groups.contains(label) {
            found.push(format!(
                "{file}: `{expression}` does not group by {label}, which the legend shows"
            ));
        }
    }
    found
}

fn panels(dashboard: &Value) -> Vec<Query<'_>> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .filter_map(|target| {
            Some(Query {
                file: DASHBOARD,
                expression: target["expr"].as_str()?,
                legend: target["legendFormat"].as_str()?,
            })
        })
        .collect()
}

fn rules(alerts: &str) -> Vec<Query<'_>> {
    let query = |expression| Query {
        file: ALERTS,
        expression,
        legend: "",
    };
    values(alerts, "expr").into_iter().map(query).collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let alerts = read(ALERTS);
    let dashboard = read(DASHBOARD);
    let dashboard: Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    let mut known = series(&read(CATALOG));
    assert!(known.len() > 10, "the metrics have moved: {known:?}");
    let scrape = ["job", "instance"].map(str::to_owned);
    known.insert("up".to_owned(), BTreeSet::from(scrape));
    for record in values(&alerts, "record") {
        known.insert(record.to_owned(), BTreeSet::new());
    }
    let (rules, panels) = (rules(&alerts), panels(&dashboard));
    assert!(
        rules.len() > 10 && panels.len() > 10,
        "expressions have moved"
    );
    let sources: String = guest_sources().into_values().collect();
    let queries = rules.iter().chain(&panels);
    assert_none(
        queries
            .flat_map(|query| unknown_names(query, &known, &sources))
            .collect(),
    );
}

#[test]
fn finds_unknown_metrics_labels_and_values() {
    let catalog = "    REQUESTS = counter \"http_requests_total\" [\"a\"]\n    TIME = histogram \"t_seconds\" [\"y\"]\n    name: \"depth\",\n";
    let known = series(catalog);
    let check = |expression, legend| {
        let query = Query {
            file: "x",
            expression,
            legend,
        };
        unknown_names(&query, &known, "const Y: &str = \"known\";")
    };
    let expression =
        "sum by (le, y) (rate(t_seconds_bucket{y=~\"known|/path.*\"}[5m])) > 0.5 and on () depth";
    assert_eq!(check(expression, "{{y}} {{le}}"), [""; 0]);
    assert_eq!(
        check("http_requests > t_seconds", ""),
        ["http_requests", "t_seconds"]
            .map(|name| format!("x: {name} is no metric in {CATALOG} and no rule in {ALERTS}"))
    );
    let expression = "sum by (z) (http_requests_total{b=\"new\"})";
    assert_eq!(
        check(expression, "{{a}}"),
        [
            "x: http_requests_total has no label b".to_owned(),
            "x: http_requests_total has no b new".to_owned(),
            format!("x: no series in `{expression}` has the label z"),
            format!("x: `{expression}` does not group by a, which the legend shows"),
        ]
    );
}

/// Returns findings for alerts without a section of their name in the runbook.
fn alerts_without_section(alerts: &str, runbook: &str) -> Vec<String> {
    let links = values(alerts, "runbook");
    let alerts = values(alerts, "alert");
    let mut found = Vec::new();
    for (index, alert) in alerts.into_iter().enumerate() {
        let link = format!("{RUNBOOK}#{}", alert.to_lowercase());
        if links.get(index) != Some(&&*link) {
            found.push(format!("{ALERTS}: {alert} needs `runbook: {link}`"));
        }
        let heading = format!("### {alert}");
        if !runbook.lines().any(|line| line == heading) {
            found.push(format!("{RUNBOOK}: the section `{heading}` is missing"));
        }
    }
    found
}

#[test]
fn every_alert_has_a_section_in_the_runbook() {
    assert_none(alerts_without_section(&read(ALERTS), &read(RUNBOOK)));
}

#[test]
fn finds_alerts_without_a_section() {
    let alerts = "  - alert: Slow\n    annotations:\n      runbook: docs/troubleshooting.md#fast\n";
    assert_eq!(
        alerts_without_section(alerts, "### Slowly"),
        [
            "deploy/monitoring/alerts.yml: Slow needs `runbook: docs/troubleshooting.md#slow`",
            "docs/troubleshooting.md: the section `### Slow` is missing",
        ]
    );
}

/// Every metric is described for operators.
#[test]
fn every_metric_is_documented() {
    let document = read("docs/monitoring.md");
    let parts = ["_bucket", "_sum", "_count"];
    let missing = series(&read(CATALOG)).into_keys().filter(|name| {
        let name = parts
            .iter()
            .fold(&**name, |name, part| name.trim_end_matches(part));
        !document.contains(&format!("| `{name}` |"))
    });
    assert_none(
        missing
            .map(|name| format!("docs/monitoring.md: {name} is not in the table"))
            .collect(),
    );
}
