//! `PUT /diaries/{id}`.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::entry_path;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn replaces_the_content_and_analyzes_it(env: &TestEnv) {
    let user = env.user().await;
    let before = user.create_entry("Simply a lovely morning.").await;
    assert_eq!(before["sentiment"], "positive");
    let response = user.update_entry(&before, "Then a dreadful evening.").await;
    let after = response.expect_status(200).json();
    assert_eq!(after["content"], "Then a dreadful evening.");
    assert_eq!(after["sentiment"], "negative");
    assert_eq!(after["negative_count"], 1);
    for field in ["id", "created_at"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    assert_eq!(user.read_entry(&before).await, after);
}

#[apply(e2e_test!)]
async fn keeps_the_entry_when_the_content_is_invalid(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("A text that stays.").await;
    let invalid = [
        json!("too short"),
        json!("x".repeat(5001)),
        json!(null),
        json!(7),
    ];
    for content in invalid {
        let body = json!({"content": content});
        let response = user.put(&entry_path(&entry), &body).await;
        response.expect_invalid(&["content"]);
    }
    assert_eq!(user.read_entry(&entry).await, entry);
}

#[apply(e2e_test!)]
async fn updates_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let own = ann.create_entry("An entry of Ann.").await;
    let other = bob.create_entry("An entry of Bob.").await;
    let updated = ann.update_entry(&own, "Another text.").await;
    assert_eq!(
        updated.expect_status(200).json()["content"],
        "Another text."
    );
    let response = ann.update_entry(&other, "Another text.").await;
    response.expect_error(403, "forbidden");
    let missing = json!({"id": i32::MAX});
    let response = ann.update_entry(&missing, "Another text.").await;
    response.expect_error(404, "not_found");
    assert_eq!(bob.read_entry(&other).await, other);
}
