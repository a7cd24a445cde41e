//! When the model is called: after the text is stored, and only for the user who may write it.

use std::time::Duration;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::{
    assert_by_lexicon, assert_by_model, create_happy_and_sad, happy_and_sad,
};
use crate::support::client::{Client, entry_path, items};
use crate::support::env::{SWEEP_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

const NEWER_TEXT: &str = "The newer text, and lovely.";

async fn wait_for_request(env: &TestEnv, word: &str) {
    while env.model.request_count(word) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends an update that the model delays, and a faster one while the model is busy. Returns the entry at the end.
async fn overtake(env: &TestEnv, instance: &Instance, reply: Reply) -> Value {
    let user = instance.user().await;
    let entry = user.create_entry("The first text.").await;
    let (older_text, word) = happy_and_sad(env, reply);
    let newer = async {
        wait_for_request(env, &word).await;
        let response = user.update_entry(&entry, NEWER_TEXT).await;
        response.expect_status(200).json()
    };
    let older = user.update_entry(&entry, &older_text);
    let (older, newer) = tokio::join!(older, newer);
    let older = older.expect_status(200).json();
    assert_eq!(older["content"], older_text.as_str());
    let stored = user.read_entry(&entry).await;
    assert_eq!(stored, newer);
    stored
}

#[apply(e2e_test!)]
async fn keep_a_newer_text_while_the_model_hangs_on_an_older_one(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let stored = overtake(env, &instance, Reply::NoResponse).await;
    assert_eq!(stored["content"], NEWER_TEXT);
    assert_by_model(&stored, &[("positive", "lovely")]);
}

#[apply(e2e_test!)]
async fn attach_no_marks_to_a_text_that_changed_in_the_meantime(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let delayed = Reply::DelayedPhrases(&["happy"], &["sad"]);
    let stored = overtake(env, &instance, delayed).await;
    assert_by_model(&stored, &[("positive", "lovely")]);
}

#[apply(e2e_test!)]
async fn do_not_bring_back_an_entry_that_was_deleted_in_the_meantime(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let delayed = Reply::DelayedPhrases(&["happy"], &["sad"]);
    let (text, word) = happy_and_sad(env, delayed);
    let delete = async {
        wait_for_request(env, &word).await;
        let list = user.list("").await;
        let response = user.delete(&entry_path(&items(&list)[0])).await;
        response.expect_status(204);
    };
    let (_, ()) = tokio::join!(user.create_entry(&text), delete);
    assert_eq!(user.list("").await["total"], 0);
}

/// Starts a request and closes its connection when the model has been called.
async fn give_up(env: &TestEnv, word: &str, request: impl Future) {
    tokio::select! {
        _ = request => panic!("the model does not reply in time"),
        () = wait_for_request(env, word) => {}
    }
}

/// Fails unless the only entry is `text` with the lexicon's marks.
async fn assert_stored(user: &Client, text: &str) {
    let list = user.list("").await;
    assert_eq!(list["total"], 1, "{list}");
    let entry = &items(&list)[0];
    assert_eq!(entry["content"], text);
    assert_by_lexicon(entry);
}

#[apply(e2e_test!)]
async fn follow_the_storage_of_the_text_so_that_a_client_may_give_up(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, Reply::NoResponse);
    give_up(env, &word, user.create_entry(&text)).await;
    assert_stored(&user, &text).await;

    let entry = items(&user.list("").await)[0].clone();
    let (text, word) = happy_and_sad(env, Reply::NoResponse);
    give_up(env, &word, user.update_entry(&entry, &text)).await;
    assert_stored(&user, &text).await;

    // The sweep attaches the model's marks later.
    env.model.set_reply(&word, Reply::Phrases(&["happy"], &[]));
    tokio::time::sleep(Duration::from_secs(2)).await;
    instance.reset_model_state().await;
    instance.make_entries_due().await;
    let sweep = user.request(Method::POST, "/internal/sweep");
    let swept = sweep.bearer(SWEEP_TOKEN).send().await.expect_status(200);
    assert_eq!(swept.json(), json!({"analyzed": 1, "waiting": 0}));
    let entry = user.read_entry(&entry).await;
    assert_by_model(&entry, &[("positive", "happy")]);
}

#[apply(e2e_test!)]
async fn do_not_happen_for_requests_that_are_rejected(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let (ann, bob) = (instance.user().await, instance.user().await);
    let own = ann.create_entry("An entry of Ann.").await;
    let other = bob.create_entry("An entry of Bob.").await;
    let (text, word) = happy_and_sad(env, Reply::Phrases(&["happy"], &[]));
    let body = json!({"content": text});

    let response = ann.update_entry(&other, &text).await;
    response.expect_error(403, "forbidden");
    let response = ann.update_entry(&json!({"id": i32::MAX}), &text).await;
    response.expect_error(404, "not_found");
    let update = ann.request(Method::PUT, &entry_path(&own));
    let update = update.header("if-match", "\"other\"").json(&body);
    let response = update.send().await;
    response.expect_error(412, "precondition_failed");
    ann.log_out().await.expect_status(200);
    let response = ann.update_entry(&own, &text).await;
    response.expect_error(401, "token_revoked");
    let response = ann.post("/diaries", &body).await;
    response.expect_error(401, "token_revoked");
    assert_eq!(env.model.request_count(&word), 0);
}

#[apply(e2e_test!)]
async fn do_not_happen_for_a_text_that_is_updated_to_itself(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let happy = Reply::Phrases(&["happy"], &[]);
    let (entry, word) = create_happy_and_sad(env, &user, happy).await;
    // An instance on another Redis has no cached marks of this text.
    let redis_url = env.new_redis_database();
    let database_url = &instance.database_url;
    let other = env.start_instance_on(database_url, &redis_url, &[]).await;
    let invalid = Reply::Message("Certainly!".into());
    env.model.set_reply(&word, invalid);
    let content = entry["content"].as_str().expect("a string");
    let response = user.on(&other.service).update_entry(&entry, content).await;
    let updated = response.expect_status(200).json();
    assert_by_model(&updated, &[("positive", "happy")]);
    assert!(updated["updated_at"].as_str() > entry["updated_at"].as_str());
    assert_eq!(user.read_entry(&entry).await, updated);
    assert_eq!(env.model.request_count(&word), 1);
}
