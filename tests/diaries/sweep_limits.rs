//! The sweep with texts that the model cannot handle, with the longest texts, and with rows that have expired.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::{
    HAPPY_AND_SAD, assert_by_lexicon, assert_by_model, create_happy_and_sad, happy_and_sad,
};
use crate::support::client::{Client, PASSWORD};
use crate::support::env::{SWEEP_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

/// The maximum length of a request's body.
const BODY_LIMIT: usize = 64 * 1024;

fn invalid() -> Reply {
    Reply::Message("Certainly!".into())
}

async fn sweep(instance: &Instance) -> Value {
    let request = instance
        .anonymous()
        .request(http::Method::POST, "/internal/sweep");
    let response = request.bearer(SWEEP_TOKEN).send().await;
    response.expect_status(200).json()
}

#[apply(e2e_test!)]
async fn tries_a_text_5_times_in_all(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (entry, word) = create_happy_and_sad(env, &user, invalid()).await;
    for calls in [2, 3, 4, 5, 5, 5] {
        instance.make_entries_due().await;
        let swept = sweep(&instance).await;
        assert_eq!(env.model.request_count(&word), calls);
        let waiting = u8::from(calls < 5);
        assert_eq!(swept, json!({"analyzed": 0, "waiting": waiting}));
    }
    assert_by_lexicon(&user.read_entry(&entry).await);
    // Neither the user nor the same text again calls the model.
    user.analyze_entry(&entry).await.expect_status(200);
    let content = entry["content"].as_str().expect("a string");
    user.update_entry(&entry, content).await.expect_status(200);
    assert_eq!(env.model.request_count(&word), 5);
    // A new text does.
    let (text, _) = happy_and_sad(env, Reply::Phrases(&["happy"], &[]));
    let updated = user.update_entry(&entry, &text).await.expect_status(200);
    assert_by_model(&updated.json(), &[("positive", "happy")]);
}

/// A batch has 8 entries. The oldest entries fill two of them and always fail.
#[apply(e2e_test!)]
async fn does_not_stop_at_texts_that_fail(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let (ann, bob) = (instance.user().await, instance.user().await);
    for _ in 0..16 {
        create_happy_and_sad(env, &ann, invalid()).await;
    }
    let (entry, word) = create_happy_and_sad(env, &bob, invalid()).await;
    env.model.set_reply(&word, Reply::Phrases(&["happy"], &[]));
    instance.make_entries_due().await;
    let swept = sweep(&instance).await;
    assert_eq!(swept, json!({"analyzed": 1, "waiting": 16}));
    let entry = bob.read_entry(&entry).await;
    assert_by_model(&entry, &[("positive", "happy")]);
}

/// Returns a text that, as the body of a request, has the maximum length.
fn longest_text(word: &str, padding: &str) -> String {
    let text = format!("{HAPPY_AND_SAD} {word}.");
    let length = |text: &str| json!({"content": text}).to_string().len();
    let step = length(padding) - length("");
    let count = (BODY_LIMIT - length(&text)) / step;
    text + &padding.repeat(count)
}

#[apply(e2e_test!)]
async fn analyzes_padded_texts_of_up_to_64_kib(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let mut entries = Vec::new();
    for padding in [" ", "\n", "\u{b}", "\u{3000}"] {
        let (_, word) = happy_and_sad(env, invalid());
        let text = longest_text(&word, padding);
        assert_by_lexicon(&user.create_entry(&text).await);
        env.model.set_reply(&word, Reply::Phrases(&["happy"], &[]));
        entries.push(word);
    }
    instance.make_entries_due().await;
    let swept = sweep(&instance).await;
    assert_eq!(swept, json!({"analyzed": entries.len(), "waiting": 0}));
    for entry in user.all_entries().await {
        assert_by_model(&entry, &[("positive", "happy")]);
    }
}

#[apply(e2e_test!)]
async fn removes_expired_sessions_and_idempotency_keys(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let other = user.log_in(&user.session().email, PASSWORD).await;
    for key in ["old", "new"] {
        create_with_key(&user, key).await;
    }
    let database = instance.database().await;
    database
        .batch(
            "update sessions set expires_at = now() - interval '1 second'
            where id = (select id from sessions order by created_at limit 1);
            update idempotency_keys set created_at = now() at time zone 'utc' - interval '25 hours'
            where key = 'old'",
        )
        .await;
    sweep(&instance).await;
    let sessions: i64 = database.value("select count(*) from sessions", &[]).await;
    assert_eq!(sessions, 1);
    other.get("/auth/me").await.expect_status(200);
    let keys: Vec<String> = database.column("select key from idempotency_keys").await;
    assert_eq!(keys, ["new"]);
}

async fn create_with_key(user: &Client, key: &str) {
    let request = user.request(http::Method::POST, "/diaries");
    let request = request.header("idempotency-key", key);
    let request = request.json(&json!({"content": "A lovely walk to the lake."}));
    request.send().await.expect_status(201);
}

#[apply(e2e_test!)]
async fn backlog_requires_the_token_of_the_sweep(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let backlog = || user.request(http::Method::GET, "/internal/backlog");
    let response = backlog().without("authorization").send().await;
    response.expect_error(401, "unauthorized");
    let response = backlog().send().await;
    response.expect_error(401, "token_invalid");
    let disabled = env.start_instance(&[("sweep_token", "")]).await;
    let request = disabled
        .anonymous()
        .request(http::Method::GET, "/internal/backlog");
    let response = request.bearer(SWEEP_TOKEN).send().await;
    response.expect_error(404, "not_found");

    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    assert_eq!(user.waiting_entries().await, 0);
    create_happy_and_sad(env, &user, invalid()).await;
    assert_eq!(user.waiting_entries().await, 1);
}
