//! Requests of one user that arrive at the same time.

use std::collections::BTreeSet;

use futures::future::join_all;
use macro_rules_attribute::apply;

use crate::support::client::{entry_id, entry_path};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn stores_40_concurrent_entries(env: &TestEnv) {
    let user = env.user().await;
    let contents: BTreeSet<String> = (0..40)
        .map(|number| format!("A concurrent entry, number {number}."))
        .collect();
    let created = contents.iter().map(|content| user.create_entry(content));
    let created = join_all(created).await;
    let ids: BTreeSet<i64> = created.iter().map(entry_id).collect();
    assert_eq!(ids.len(), 40);
    let listed = user.all_entries().await;
    assert_eq!(listed.len(), 40);
    let content = |entry: &serde_json::Value| {
        let content = entry["content"].as_str().expect("a string");
        content.to_owned()
    };
    assert_eq!(
        listed.iter().map(content).collect::<BTreeSet<_>>(),
        contents
    );
}

#[apply(e2e_test!)]
async fn deletes_an_entry_once_for_10_concurrent_requests(env: &TestEnv) {
    let user = env.user().await;
    let path = entry_path(&user.create_entry("An entry to delete.").await);
    let responses = join_all((0..10).map(|_| user.delete(&path))).await;
    let mut statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404, 404, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(user.list("").await["total"], 0);
}
