//! `POST /internal/sweep`, which asks the model again about entries on which it failed.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::{assert_by_lexicon, assert_by_model, create_happy_and_sad};
use crate::support::client::{Client, totals};
use crate::support::env::{SWEEP_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;
use crate::support::request::Request;

const HAPPY: Reply = Reply::Phrases(&["happy"], &[]);

fn sweep_request(instance: &Instance) -> Request {
    let anonymous = instance.anonymous();
    anonymous.request(Method::POST, "/internal/sweep")
}

async fn sweep(instance: &Instance) -> Value {
    let response = sweep_request(instance).bearer(SWEEP_TOKEN).send().await;
    response.expect_status(200).json()
}

/// Returns the response of a sweep.
fn swept(analyzed: usize, waiting: usize) -> Value {
    json!({"analyzed": analyzed, "waiting": waiting})
}

/// Creates an entry on which the model fails. Returns the entry and its unique word.
async fn create_waiting_entry(env: &TestEnv, user: &Client) -> (Value, String) {
    let invalid = Reply::Message("Certainly!".into());
    let (entry, word) = create_happy_and_sad(env, user, invalid).await;
    assert_by_lexicon(&entry);
    (entry, word)
}

/// Fails unless `entry` now has the marks of [`HAPPY`] and is otherwise unchanged.
async fn assert_analyzed(user: &Client, entry: &Value) {
    let analyzed = user.read_entry(entry).await;
    assert_by_model(&analyzed, &[("positive", "happy")]);
    for field in ["id", "content", "created_at", "updated_at"] {
        assert_eq!(analyzed[field], entry[field], "{field}");
    }
}

#[apply(e2e_test!)]
async fn requires_its_token(env: &TestEnv) {
    let disabled = env.start_instance(&[("sweep_token", "")]).await;
    let response = sweep_request(&disabled).bearer(SWEEP_TOKEN).send().await;
    response.expect_error(404, "not_found");

    let response = sweep_request(&env.shared).send().await;
    response.expect_error(401, "unauthorized");
    let response = sweep_request(&env.shared).bearer("").send().await;
    response.expect_error(401, "unauthorized");
    let user = env.user().await;
    let access_token = &user.session().access_token;
    for wrong in ["sweep", &format!("{SWEEP_TOKEN}x"), access_token] {
        let response = sweep_request(&env.shared).bearer(wrong).send().await;
        response.expect_error(401, "token_invalid");
    }
    let response = env.anonymous().get("/internal/sweep").await;
    let response = response.expect_error(405, "method_not_allowed");
    assert_eq!(response.header("allow"), Some("POST, OPTIONS"));
}

#[apply(e2e_test!)]
async fn analyzes_waiting_entries(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let mut entries = Vec::new();
    for _ in 0..3 {
        entries.push(create_waiting_entry(env, &user).await);
    }
    let by_model = user
        .create_entry("A lovely day that the model marks.")
        .await;
    assert_eq!(user.waiting_entries().await, 3);
    for (_, word) in &entries {
        env.model.set_reply(word, HAPPY);
    }
    instance.make_entries_due().await;
    assert_eq!(sweep(&instance).await, swept(3, 0));
    assert_eq!(user.waiting_entries().await, 0);
    for (entry, _) in &entries {
        assert_analyzed(&user, entry).await;
    }
    assert_eq!(user.read_entry(&by_model).await, by_model);
    assert_eq!(user.stats().await, totals(4, 4, 0, 0));
    assert_eq!(sweep(&instance).await, swept(0, 0));
    instance
        .wait_for_log(&["\"level\":\"info\"", "sweep"])
        .await;
}

/// A batch has 8 entries. Where the model is unavailable, the sweep ends with the first.
#[apply(e2e_test!)]
async fn stops_when_the_model_is_unavailable(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let mut words = Vec::new();
    for _ in 0..20 {
        words.push(create_waiting_entry(env, &user).await.1);
    }
    for word in &words {
        env.model.set_reply(word, Reply::Status(403, None));
    }
    instance.make_entries_due().await;
    assert_eq!(sweep(&instance).await, swept(0, 20));
    let requests: usize = words.iter().map(|word| env.model.request_count(word)).sum();
    let requests_of_sweep = requests - words.len();
    // The first 403 opens the circuit, and up to 7 others may be under way by then.
    assert!((1..=8).contains(&requests_of_sweep), "{requests_of_sweep}");
}

#[apply(e2e_test!)]
async fn does_not_retry_an_entry_at_once(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (_, word) = create_waiting_entry(env, &user).await;
    assert_eq!(sweep(&instance).await, swept(0, 1));
    assert_eq!(env.model.request_count(&word), 1, "only the creation");
    instance.make_entries_due().await;
    for _ in 0..2 {
        assert_eq!(sweep(&instance).await, swept(0, 1));
        assert_eq!(
            env.model.request_count(&word),
            2,
            "the creation and one sweep"
        );
    }
}

#[apply(e2e_test!)]
async fn keeps_an_update_made_during_the_sweep(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (entry, word) = create_waiting_entry(env, &user).await;
    let delayed = Reply::DelayedPhrases(&["happy"], &[]);
    env.model.set_reply(&word, delayed);
    let update = async {
        while env.model.request_count(&word) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let content = "Quite another text, and lovely.";
        let response = user.update_entry(&entry, content).await;
        response.expect_status(200).json()
    };
    instance.make_entries_due().await;
    let (updated, result) = tokio::join!(update, sweep(&instance));
    // Whether the update still waits for the model at the end of the sweep depends on the machine.
    assert_eq!(result["analyzed"], 0);
    assert_by_model(&updated, &[("positive", "lovely")]);
    assert_eq!(user.read_entry(&entry).await, updated);
}

#[apply(e2e_test!)]
async fn takes_each_entry_once_in_concurrent_sweeps(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let entries = (0..24).map(|_| create_waiting_entry(env, &user));
    let entries = join_all(entries).await;
    for (_, word) in &entries {
        let delayed = Reply::DelayedPhrases(&["happy"], &[]);
        env.model.set_reply(word, delayed);
    }
    instance.make_entries_due().await;
    let sweeps = join_all((0..3).map(|_| sweep(&instance))).await;
    let analyzed = sweeps.iter().map(|swept| swept["analyzed"].as_u64());
    assert_eq!(analyzed.sum::<Option<u64>>(), Some(24), "{sweeps:?}");
    for (entry, word) in &entries {
        // The creation and one sweep.
        assert_eq!(env.model.request_count(word), 2);
        assert_analyzed(&user, entry).await;
    }
}

#[apply(e2e_test!)]
async fn analyzes_entries_from_before_a_model_was_configured(env: &TestEnv) {
    let before = env.start_instance(&[("github_token", "")]).await;
    let user = before.user().await;
    let entry = user.create_entry("It was lovely at the lake.").await;
    assert_eq!(entry["analyzed_by"], "lexicon");
    assert_eq!(user.waiting_entries().await, 0, "no model has failed");
    let after = env.start_replica(&before, &[]).await;
    assert_eq!(sweep(&after).await, swept(1, 0));
    let analyzed = user.read_entry(&entry).await;
    assert_by_model(&analyzed, &[("positive", "lovely")]);
}
