//! `DELETE /diaries/{id}`.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::entry_path;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn removes_the_entry(env: &TestEnv) {
    let user = env.user().await;
    let deleted = user.create_entry("An entry to delete.").await;
    let kept = user.create_entry("An entry to keep.").await;
    let path = entry_path(&deleted);
    let response = user.delete(&path).await.expect_status(204);
    assert_eq!(response.text(), "");
    user.get(&path).await.expect_error(404, "not_found");
    user.delete(&path).await.expect_error(404, "not_found");
    let response = user.update_entry(&deleted, "An entry to restore.").await;
    response.expect_error(404, "not_found");
    assert_eq!(user.list("").await["items"], json!([kept]));
}

#[apply(e2e_test!)]
async fn removes_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let own = ann.create_entry("An entry of Ann.").await;
    let other = bob.create_entry("An entry of Bob.").await;
    ann.delete(&entry_path(&own)).await.expect_status(204);
    let response = ann.delete(&entry_path(&other)).await;
    response.expect_error(403, "forbidden");
    let response = ann.delete("/diaries/2147483647").await;
    response.expect_error(404, "not_found");
    assert_eq!(bob.read_entry(&other).await, other);
}
