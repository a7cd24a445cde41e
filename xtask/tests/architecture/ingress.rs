//! The Ingress passes on every route but those of operators.

use std::fs;

use serde_json::Value;

use crate::{DOCUMENT_ROUTES, assert_none, root};

const INGRESS: &str = "deploy/kubernetes/base/ingress.yaml";
const OPERATORS: &str = "/internal/";

/// Returns whether the Ingress passes on requests to a path.
fn passes(ingress: &str, route: &str) -> bool {
    ingress.split("path: ").skip(1).any(|rule| {
        let path = rule.split([',', '\n']).next().unwrap_or_default();
        let rest = route.strip_prefix(path);
        match rule.contains("pathType: Prefix") {
            true => rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || path.ends_with('/')
            }),
            false => rest == Some(""),
        }
    })
}

fn findings<'a>(ingress: &str, routes: impl Iterator<Item = &'a str>) -> Vec<String> {
    routes
        .filter(|route| passes(ingress, route) == route.starts_with(OPERATORS))
        .map(|route| match route.starts_with(OPERATORS) {
            true => {
                format!("{INGRESS}:1: passes on {route}, which is for operators: remove the path")
            }
            false => format!("{INGRESS}:1: does not pass on {route}: add a path"),
        })
        .collect()
}

#[test]
fn the_ingress_passes_on_every_route_but_those_of_operators() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("it exists");
    let document: Value =
        serde_json::from_str(&read("components/system/openapi.json")).expect("JSON");
    let paths = document["paths"].as_object().expect("an object");
    let routes = paths.keys().map(String::as_str).chain(DOCUMENT_ROUTES);
    assert_none(findings(&read(INGRESS), routes));
}

#[test]
fn finds_routes_that_the_ingress_must_or_must_not_pass_on() {
    let ingress =
        "- path: /diaries\n  pathType: Prefix\n- { path: /ready, pathType: Exact, backend: x }\n";
    let routes = [
        "/diaries",
        "/diaries/{id}",
        "/diariesx",
        "/ready",
        "/ready/x",
        "/internal/sweep",
    ];
    assert_eq!(
        findings(ingress, routes.into_iter()),
        [
            "deploy/kubernetes/base/ingress.yaml:1: does not pass on /diariesx: add a path",
            "deploy/kubernetes/base/ingress.yaml:1: does not pass on /ready/x: add a path",
        ]
    );
    assert_eq!(
        findings(
            "- path: /\n  pathType: Prefix\n",
            ["/internal/sweep"].into_iter()
        ),
        [
            "deploy/kubernetes/base/ingress.yaml:1: passes on /internal/sweep, which is for operators: remove the path"
        ]
    );
}
