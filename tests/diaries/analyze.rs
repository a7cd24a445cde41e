//! `POST /diaries/{id}/analyze`, which asks the model again about an entry.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::analysis::{
    assert_by_lexicon, assert_by_model, create_happy_and_sad, happy_and_sad,
};
use crate::support::client::{entry_path, totals};
use crate::support::env::TestEnv;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn replaces_the_lexicon_s_marks_with_the_model_s(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let invalid = Reply::Message("Certainly!".into());
    let (entry, word) = create_happy_and_sad(env, &user, invalid).await;
    assert_by_lexicon(&entry);
    let again = user.analyze_entry(&entry).await.expect_status(200).json();
    assert_eq!(again, entry);
    assert_eq!(user.waiting_entries().await, 1);

    env.model.set_reply(&word, Reply::Phrases(&["happy"], &[]));
    let analyzed = user.analyze_entry(&entry).await.expect_status(200).json();
    assert_by_model(&analyzed, &[("positive", "happy")]);
    for field in ["id", "content", "created_at", "updated_at"] {
        assert_eq!(analyzed[field], entry[field], "{field}");
    }
    assert_eq!(user.read_entry(&entry).await, analyzed);
    assert_eq!(user.stats().await, totals(1, 1, 0, 0));
    assert_eq!(user.waiting_entries().await, 0);
}

#[apply(e2e_test!)]
async fn keeps_the_model_s_marks_when_the_model_fails(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, Reply::Phrases(&["happy"], &[]));
    let entry = user.create_entry(&text).await;
    // An instance on another Redis has no cached marks of this text.
    let redis_url = env.new_redis_database();
    let database_url = &instance.database_url;
    let other = env.start_instance_on(database_url, &redis_url, &[]).await;
    let user = user.on(&other.service);
    env.model
        .set_reply(&word, Reply::Message("Certainly!".into()));
    let again = user.analyze_entry(&entry).await.expect_status(200).json();
    assert_eq!(again, entry);
    assert_eq!(env.model.request_count(&word), 2);
    assert_eq!(user.waiting_entries().await, 0);
}

#[apply(e2e_test!)]
async fn accepts_own_entries_only(env: &TestEnv) {
    let (user, other) = (env.user().await, env.user().await);
    let entry = user.create_entry("A lovely day at the lake.").await;
    let response = other.analyze_entry(&entry).await;
    response.expect_error(403, "forbidden");
    for id in [json!(i32::MAX), json!("x")] {
        let response = user.analyze_entry(&json!({"id": id})).await;
        response.expect_error(404, "not_found");
    }
    let response = env.anonymous().analyze_entry(&entry).await;
    response.expect_error(401, "unauthorized");
    let response = user.get(&format!("{}/analyze", entry_path(&entry))).await;
    let response = response.expect_error(405, "method_not_allowed");
    assert_eq!(response.header("allow"), Some("POST, OPTIONS"));
    user.log_out().await.expect_status(200);
    let response = user.analyze_entry(&entry).await;
    response.expect_error(401, "token_revoked");
}
