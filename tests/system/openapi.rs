//! `GET /openapi.json`. Every response in every test is checked against this document as well.

use std::collections::BTreeSet;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::entry_path;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

/// Every call of the contract.
const CALLS: [(&str, &str); 28] = [
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/version"),
    ("get", "/openapi.json"),
    ("get", "/docs"),
    ("post", "/auth/register"),
    ("post", "/auth/login"),
    ("post", "/auth/refresh"),
    ("post", "/auth/logout"),
    ("post", "/auth/logout-all"),
    ("get", "/auth/sessions"),
    ("delete", "/auth/sessions/{id}"),
    ("put", "/auth/password"),
    ("get", "/auth/me"),
    ("delete", "/auth/me"),
    ("get", "/auth/me/export"),
    ("get", "/diaries"),
    ("post", "/diaries"),
    ("post", "/diaries/import"),
    ("get", "/diaries/stats"),
    ("get", "/diaries/stats/trend"),
    ("get", "/diaries/{id}"),
    ("put", "/diaries/{id}"),
    ("delete", "/diaries/{id}"),
    ("post", "/diaries/{id}/analyze"),
    ("get", "/internal/backlog"),
    ("get", "/internal/metrics"),
    ("post", "/internal/sweep"),
];

#[apply(e2e_test!)]
async fn documents_every_call(env: &TestEnv) {
    let response = env.anonymous().get("/openapi.json").await;
    let document = response.expect_status(200).json();
    assert_eq!(&document, env.openapi().document());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("an object") {
        for name in operations.as_object().expect("an object").keys() {
            // A path has parameters beside its methods.
            if name != "parameters" {
                documented.insert((name.as_str(), path.as_str()));
            }
        }
    }
    assert_eq!(documented, BTreeSet::from(CALLS));
}

#[apply(e2e_test!)]
async fn has_no_dangling_reference(env: &TestEnv) {
    let document = env.openapi().document();
    assert_ne!(count_references(document, document), 0);
}

/// Fails if a reference in `part` has no target, and returns the number of references.
fn count_references(document: &Value, part: &Value) -> usize {
    match part {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            if let Some(reference) = own {
                let target = document.pointer(reference.trim_start_matches('#'));
                assert!(target.is_some(), "{reference}");
            }
            let fields = fields.values();
            let nested = fields.map(|field| count_references(document, field));
            nested.sum::<usize>() + usize::from(own.is_some())
        }
        Value::Array(items) => {
            let items = items.iter();
            items.map(|item| count_references(document, item)).sum()
        }
        _ => 0,
    }
}

/// The client compares each response with the document, so it suffices to make every call.
#[apply(e2e_test!)]
async fn documents_only_calls_that_exist(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("An entry for the documentation.").await;
    for (method, template) in CALLS {
        // These end what the other calls need.
        let ends_session = ["/auth/logout", "/auth/logout-all"].contains(&template);
        // Its response has no length. The tests of the export make this call.
        let is_streamed = template == "/auth/me/export";
        // A proxy refuses the routes of operators with 404.
        let is_refused = env.is_elsewhere() && template.starts_with("/internal/");
        if ends_session || is_streamed || is_refused || method == "delete" {
            continue;
        }
        let path = template.replace("/diaries/{id}", &entry_path(&entry));
        let method: Method = method.to_uppercase().parse().expect("a method");
        let response = user.request(method, &path).json(&json!({})).send().await;
        let is_missing = [404, 405].contains(&response.status);
        assert!(!is_missing, "{}", response.dump());
    }
    let deleted = user.delete(&entry_path(&entry)).await;
    deleted.expect_status(204);
    user.log_out().await.expect_status(200);
}
