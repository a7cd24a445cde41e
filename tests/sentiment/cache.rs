//! The cache of the model's marks in Redis: positions in a text that is itself not stored.

use futures::future::join_all;
use macro_rules_attribute::apply;
use redis::AsyncCommands;
use serde_json::Value;

use crate::support::analysis::{
    assert_by_lexicon, assert_by_model, create_happy_and_sad, happy_and_sad,
};
use crate::support::client::Client;
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;
use crate::support::tcp_proxy::TcpProxy;

const MORNING: Reply = Reply::Phrases(&["happy in the morning"], &["sad"]);
const DELAYED_MORNING: Reply = Reply::DelayedPhrases(&["happy in the morning"], &["sad"]);

/// The cached form of the marks of [`MORNING`].
const CACHED_MORNING: &str = "+6-26 -31-34";

/// Fails unless the entry has the marks of [`MORNING`].
#[track_caller]
fn assert_morning(entry: &Value) {
    let phrases = [("positive", "happy in the morning"), ("negative", "sad")];
    assert_by_model(entry, &phrases);
}

fn invalid_reply() -> Reply {
    Reply::Message("Certainly!".into())
}

#[apply(e2e_test!)]
async fn saves_a_request_for_the_same_text(env: &TestEnv) {
    let one = env.start_instance(&[]).await;
    let replica = env.start_replica(&one, &[]).await;
    let (text, word) = happy_and_sad(env, MORNING);
    let (user, other) = (one.user().await, one.user().await);
    let entry = user.create_entry(&text).await;
    assert_morning(&entry);
    for client in [&user, &other, &other.on(&replica.service)] {
        let again = client.create_entry(&text).await;
        for field in ["analyzed_content", "analyzed_by", "positive_count"] {
            assert_eq!(again[field], entry[field], "{field}");
        }
    }
    let changed = user
        .update_entry(&entry, "Nothing to speak of today.")
        .await;
    changed.expect_status(200);
    let restored = user.update_entry(&entry, &text).await;
    assert_morning(&restored.expect_status(200).json());
    assert_eq!(env.model.request_count(&word), 1);
}

#[apply(e2e_test!)]
async fn serves_a_known_text_while_the_circuit_is_open(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, MORNING);
    assert_morning(&user.create_entry(&text).await);
    for _ in 0..3 {
        create_happy_and_sad(env, &user, Reply::Status(500, None)).await;
    }
    assert_morning(&user.create_entry(&text).await);
    assert_eq!(env.model.request_count(&word), 1);
}

#[apply(e2e_test!)]
async fn makes_one_request_for_20_concurrent_entries_of_the_same_text(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let (text, word) = happy_and_sad(env, DELAYED_MORNING);
    let users = [instance.user().await, instance.user().await];
    let entries = (0..20).map(|number| users[number % 2].create_entry(&text));
    for entry in join_all(entries).await {
        assert_morning(&entry);
    }
    assert_eq!(env.model.request_count(&word), 1);
}

#[apply(e2e_test!)]
async fn releases_waiting_requests_when_the_reply_is_invalid(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let (text, word) = happy_and_sad(env, invalid_reply());
    let user = instance.user().await;
    for entry in join_all((0..5).map(|_| user.create_entry(&text))).await {
        assert_by_lexicon(&entry);
    }
    env.model.set_reply(&word, MORNING);
    assert_morning(&user.create_entry(&text).await);
    let cached: Vec<String> = instance.cached_marks().await.into_values().collect();
    assert_eq!(cached, [CACHED_MORNING], "no lock is left");
}

/// After half a second for a reply with phrases that are not in the text, 900 ms leave too little time to ask again.
#[apply(e2e_test!)]
async fn does_not_repeat_a_slow_request_for_waiting_requests(env: &TestEnv) {
    let instance = env.start_instance(&[("github_timeout_ms", "900")]).await;
    let (text, word) = happy_and_sad(env, Reply::DelayedPhrases(&["nowhere"], &[]));
    let user = instance.user().await;
    for entry in join_all((0..3).map(|_| user.create_entry(&text))).await {
        assert_by_lexicon(&entry);
    }
    assert_eq!(env.model.request_count(&word), 1);
}

#[apply(e2e_test!)]
async fn keeps_a_reply_without_phrases(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, Reply::Phrases(&[], &[]));
    for _ in 0..2 {
        assert_by_model(&user.create_entry(&text).await, &[]);
    }
    assert_eq!(env.model.request_count(&word), 1);
}

#[apply(e2e_test!)]
async fn is_separate_for_each_model_but_not_for_each_token(env: &TestEnv) {
    let one = env.start_instance(&[]).await;
    let (text, word) = happy_and_sad(env, MORNING);
    let user = one.user().await;
    assert_morning(&user.create_entry(&text).await);
    let cases = [
        (("github_token", "another"), 1),
        (("github_model_name", "another/model"), 2),
        (("github_models_path", "/another/path"), 3),
    ];
    for (setting, requests) in cases {
        let other = env.start_replica(&one, &[setting]).await;
        let user = user.on(&other.service);
        assert_morning(&user.create_entry(&text).await);
        assert_eq!(env.model.request_count(&word), requests, "{setting:?}");
    }
}

#[apply(e2e_test!)]
async fn expires_after_the_configured_time(env: &TestEnv) {
    let settings = [("sentiment_cache_ttl", "2h")];
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    let (entry, _) = create_happy_and_sad(env, &user, MORNING).await;
    assert_morning(&entry);
    let cached: Vec<_> = instance.cached_marks().await.into_iter().collect();
    let [(key, value)] = cached.as_slice() else {
        panic!("{cached:?}");
    };
    assert_eq!(value, CACHED_MORNING);
    let digest = key.rsplit(':').next().expect("a digest");
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let ttl: i64 = instance.redis().await.pttl(key).await.expect("a time");
    // At most 200 s have passed since the entry was created.
    assert!((7_000_000..=7_200_000).contains(&ttl), "{ttl} ms");
}

#[apply(e2e_test!)]
async fn can_be_switched_off(env: &TestEnv) {
    let settings = [("sentiment_cache_ttl", "off")];
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, MORNING);
    for _ in 0..2 {
        assert_morning(&user.create_entry(&text).await);
    }
    assert_eq!(env.model.request_count(&word), 2);
    assert_eq!(instance.cached_marks().await.len(), 0);
}

#[apply(e2e_test!)]
async fn does_not_keep_marks_of_the_lexicon(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, invalid_reply());
    for reply in [Reply::Status(500, None), invalid_reply()] {
        env.model.set_reply(&word, reply);
        assert_by_lexicon(&user.create_entry(&text).await);
    }
    assert_eq!(instance.cached_marks().await.len(), 0);
    env.model.set_reply(&word, MORNING);
    assert_morning(&user.create_entry(&text).await);
}

#[apply(e2e_test!)]
async fn replaces_invalid_values(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, word) = happy_and_sad(env, MORNING);
    assert_morning(&user.create_entry(&text).await);
    let invalid: [&[u8]; 7] = [
        b"<script>alert(1)</script>",
        b"+0-9999",
        b"-31-34 +6-26",
        b"+6-26 -7-9",
        b"{\"positive\": [\"happy\"]}",
        &[0xff; 40],
        &[b'+'; 100_000],
    ];
    for (requests, value) in (2..).zip(invalid) {
        replace_cached(&instance, value).await;
        assert_morning(&user.create_entry(&text).await);
        assert_eq!(env.model.request_count(&word), requests);
        let cached: Vec<String> = instance.cached_marks().await.into_values().collect();
        assert_eq!(cached, [CACHED_MORNING]);
    }
    instance
        .wait_for_log(&[
            "\"level\":\"warn\"",
            "ignored cached marks that are invalid",
        ])
        .await;
}

/// Overwrites the only cached marks.
async fn replace_cached(instance: &Instance, value: &[u8]) {
    let keys: Vec<String> = instance.cached_marks().await.into_keys().collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let mut redis = instance.redis().await;
    let _: () = redis
        .set(&keys[0], value)
        .await
        .expect("Redis sets the key");
}

/// The model's server rejects `response_format`: three requests find that out once, for all instances.
#[apply(e2e_test!)]
async fn shares_the_request_features_that_the_server_accepts(env: &TestEnv) {
    let one = env.start_instance(&[]).await;
    let replica = env.start_replica(&one, &[]).await;
    let user = one.user().await;
    assert_eq!(requests_without_format(env, &user).await, 3);
    assert_eq!(requests_without_format(env, &user).await, 1);
    let on_replica = user.on(&replica.service);
    assert_eq!(requests_without_format(env, &on_replica).await, 1);
    one.expire_request_features().await;
    assert_eq!(requests_without_format(env, &user).await, 3);
}

async fn requests_without_format(env: &TestEnv, user: &Client) -> usize {
    let reply = Reply::RejectResponseFormat(&["happy"]);
    let (entry, word) = create_happy_and_sad(env, user, reply).await;
    assert_by_model(&entry, &[("positive", "happy")]);
    env.model.request_count(&word)
}

#[apply(e2e_test!)]
async fn leaves_entries_to_the_lexicon_while_redis_hangs(env: &TestEnv) {
    let proxy = TcpProxy::start(env.redis_address()).await;
    let database_url = env.new_migrated_database().await;
    let redis_url = env.new_redis_database();
    let direct = env.start_instance_on(&database_url, &redis_url, &[]).await;
    let proxied = proxy.url(&redis_url);
    let proxied = env.start_instance_on(&database_url, &proxied, &[]).await;
    let user = direct.user().await.on(&proxied.service);
    let (text, word) = happy_and_sad(env, MORNING);
    assert_morning(&user.create_entry(&text).await);
    proxy.stall();
    assert_by_lexicon(&user.create_entry(&text).await);
    assert_eq!(env.model.request_count(&word), 1, "the model is not called");
    proxy.resume();
}
