//! The alerts and the dashboard name metrics that the service has, and each alert has its section in the runbook.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::{assert_none, root};

const CATALOG: &str = "src/metrics/catalog.rs";
const ALERTS: &str = "deploy/monitoring/alerts.yml";
const DASHBOARD: &str = "deploy/monitoring/dashboard.json";
const RUNBOOK: &str = "docs/troubleshooting.md";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the names of all series that Prometheus gets from the service.
fn series(catalog: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in catalog.lines() {
        let quoted = line.split('"').nth(1).unwrap_or_default();
        if line.contains(" = counter \"") || line.trim_start().starts_with("name: \"") {
            found.insert(quoted.to_owned());
        } else if line.contains(" = histogram \"") {
            found.extend(["_bucket", "_sum", "_count"].map(|part| format!("{quoted}{part}")));
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

/// Returns the names of series in a PromQL expression.
fn names(expression: &str) -> BTreeSet<String> {
    // Without label matchers, ranges and strings.
    let (mut text, mut depth) = (String::new(), 0_i32);
    for letter in expression.chars() {
        depth += i32::from("{[".contains(letter));
        if depth == 0 {
            text.push(letter);
        }
        depth -= i32::from("}]".contains(letter));
    }
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let (mut found, mut rest) = (BTreeSet::new(), text.as_str());
    let mut is_label_list = false;
    while let Some(start) = rest.find(is_part) {
        is_label_list &= !rest[..start].contains(')');
        let after = &rest[start..];
        let (name, after) = after.split_at(after.find(|c| !is_part(c)).unwrap_or(after.len()));
        let is_aggregation = [" by (", " without ("]
            .iter()
            .any(|by| after.starts_with(by));
        let is_function = is_aggregation || after.starts_with('(');
        let is_list = ["by", "without", "on", "ignoring"].contains(&name);
        let is_operator = ["and", "or", "unless", "bool", "offset"].contains(&name);
        let is_number = name.starts_with(|letter: char| letter.is_ascii_digit());
        if !(is_function || is_list || is_operator || is_number || is_label_list) {
            found.insert(name.to_owned());
        }
        is_label_list |= is_list;
        rest = after;
    }
    found
}

/// Returns findings for names in expressions that neither the service nor a rule defines.
fn unknown_names<'a>(
    path: &str,
    expressions: impl IntoIterator<Item = &'a str>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let unknown = |expression: &str| {
        let names = names(expression).into_iter();
        names
            .filter(|name| !known.contains(name))
            .map(|name| format!("{path}: {name} is no metric in {CATALOG} and no rule in {ALERTS}"))
            .collect::<Vec<_>>()
    };
    expressions.into_iter().flat_map(unknown).collect()
}

fn dashboard_expressions(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .filter_map(|target| target["expr"].as_str())
        .collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let alerts = read(ALERTS);
    let dashboard = read(DASHBOARD);
    let dashboard: Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    let mut known = series(&read(CATALOG));
    assert!(known.len() > 10, "the metrics have moved: {known:?}");
    known.insert("up".to_owned());
    known.extend(values(&alerts, "record").into_iter().map(str::to_owned));
    let rules = values(&alerts, "expr");
    let panels = dashboard_expressions(&dashboard);
    assert!(
        rules.len() > 10 && panels.len() > 10,
        "expressions have moved"
    );
    let mut found = unknown_names(ALERTS, rules, &known);
    found.extend(unknown_names(DASHBOARD, panels, &known));
    assert_none(found);
}

#[test]
fn finds_unknown_metrics() {
    let catalog = "    REQUESTS = counter \"http_requests_total\" [\"a\"]\n    TIME = histogram \"t_seconds\" []\n    name: \"depth\",\n";
    let known = series(catalog);
    let expression = "sum by (le, x) (rate(t_seconds_bucket{y=\"z\"}[5m])) > 0.5 and on () depth / http_requests > t_seconds";
    assert_eq!(
        unknown_names("x", [expression], &known),
        ["http_requests", "t_seconds"]
            .map(|name| format!("x: {name} is no metric in {CATALOG} and no rule in {ALERTS}"))
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
    let missing = series(&read(CATALOG)).into_iter().filter(|name| {
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
