//! How many calls of the model one user may cause.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::{assert_by_lexicon, assert_by_model, create_happy_and_sad};
use crate::support::client::Client;
use crate::support::env::{SWEEP_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

const HAPPY: Reply = Reply::Phrases(&["happy"], &[]);

const MARKS: [(&str, &str); 1] = [("positive", "happy")];

async fn start(env: &TestEnv, limit: &str) -> Instance {
    env.start_instance(&[("model_limit", limit)]).await
}

/// Creates entries, each with a new text, which the model marks. Returns the last one and its word.
async fn create_by_model(env: &TestEnv, user: &Client, count: usize) -> (Value, String) {
    let mut last = (Value::Null, String::new());
    for _ in 0..count {
        last = create_happy_and_sad(env, user, HAPPY).await;
        assert_by_model(&last.0, &MARKS);
    }
    last
}

/// Creates an entry that the lexicon marks, without a call of the model.
async fn create_limited(env: &TestEnv, user: &Client) -> (Value, String) {
    let (entry, word) = create_happy_and_sad(env, user, HAPPY).await;
    assert_by_lexicon(&entry);
    assert_eq!(env.model.request_count(&word), 0);
    (entry, word)
}

async fn sweep(instance: &Instance) -> Value {
    let request = instance
        .anonymous()
        .request(Method::POST, "/internal/sweep");
    let response = request.bearer(SWEEP_TOKEN).send().await;
    response.expect_status(200).json()
}

#[apply(e2e_test!)]
async fn leaves_further_entries_to_the_lexicon(env: &TestEnv) {
    let one = start(env, "2/1d").await;
    let replica = env.start_replica(&one, &[("model_limit", "2/1d")]).await;
    let user = one.user().await;
    let (known, _) = create_by_model(env, &user, 1).await;
    create_by_model(env, &user.on(&replica.service), 1).await;
    let (entry, word) = create_limited(env, &user).await;
    let analyzed = user.analyze_entry(&entry).await.expect_status(200);
    assert_by_lexicon(&analyzed.json());
    assert_eq!(env.model.request_count(&word), 0);
    // Marks that are cached need no call.
    let text = known["content"].as_str().expect("a string");
    assert_by_model(&user.create_entry(text).await, &MARKS);
    create_by_model(env, &one.user().await, 1).await;
}

#[apply(e2e_test!)]
async fn is_off_with_that_value(env: &TestEnv) {
    let instance = start(env, "off").await;
    create_by_model(env, &instance.user().await, 3).await;
    assert_eq!(instance.user_calls().await, []);
}

/// The window of the test's limit is an hour.
#[apply(e2e_test!)]
async fn ends_with_its_window_after_which_the_sweep_calls_the_model(env: &TestEnv) {
    let instance = start(env, "1/1h").await;
    let user = instance.user().await;
    create_by_model(env, &user, 1).await;
    let (entry, word) = create_limited(env, &user).await;
    assert_eq!(sweep(&instance).await, json!({"analyzed": 0, "waiting": 1}));
    let retry_in = "select extract(epoch from analysis_retry_at - now() at time zone 'utc')::float8
        from thought_diaries where analysis_status = 'pending'";
    let retry_in: f64 = instance.database().await.value(retry_in, &[]).await;
    assert!((3500.0..=3600.0).contains(&retry_in), "{retry_in}");

    instance.make_entries_due().await;
    assert_eq!(sweep(&instance).await, json!({"analyzed": 0, "waiting": 1}));
    instance.end_user_windows().await;
    instance.make_entries_due().await;
    assert_eq!(sweep(&instance).await, json!({"analyzed": 1, "waiting": 0}));
    assert_eq!(env.model.request_count(&word), 1);
    assert_by_model(&user.read_entry(&entry).await, &MARKS);
}

/// A batch of the sweep has 8 entries. Those of Ann, who has no calls left, are older and would fill two of them. The first
/// batch postpones them all.
#[apply(e2e_test!)]
async fn does_not_keep_the_sweep_from_the_entries_of_others(env: &TestEnv) {
    let instance = start(env, "2/1d").await;
    let (ann, bob) = (instance.user().await, instance.user().await);
    create_by_model(env, &ann, 2).await;
    for _ in 0..18 {
        create_limited(env, &ann).await;
    }
    let invalid = Reply::Message("Certainly!".into());
    let (entry, word) = create_happy_and_sad(env, &bob, invalid).await;
    env.model.set_reply(&word, HAPPY);
    instance.make_entries_due().await;
    let database = instance.database().await;
    database
        .batch(
            "create sequence updates;
            create function count_update() returns trigger language plpgsql as $$
            begin
                perform nextval('updates');
                return null;
            end $$;
            create trigger count after update on thought_diaries execute function count_update();",
        )
        .await;
    let swept = sweep(&instance).await;
    assert_eq!(swept, json!({"analyzed": 1, "waiting": 18}));
    let updates: i64 = database.value("select last_value from updates", &[]).await;
    // Three claims, eight postponed entries, the rest of Ann's at once, and Bob's marks.
    assert_eq!(updates, 3 + 8 + 1 + 1);
    assert_by_model(&bob.read_entry(&entry).await, &MARKS);
    let postponed = "select count(*) from thought_diaries
        where analysis_status = 'pending' and analysis_retry_at > now() at time zone 'utc' + interval '23 hours'";
    let postponed: i64 = database.value(postponed, &[]).await;
    assert_eq!(postponed, 18);
}
