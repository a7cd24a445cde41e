//! A model that fails or hangs, and a sentiment component that fails: the entry is stored all the same.

use std::time::{Duration, Instant};

use macro_rules_attribute::apply;

use crate::support::analysis::{HAPPY_AND_SAD, analyze, assert_by_lexicon, create_happy_and_sad};
use crate::support::env::TestEnv;
use crate::support::marked_text::assert_phrases;
use crate::support::model_server::{HttpReply, Reply};
use crate::support::registry::e2e_test;

/// `github_timeout_ms` is 1,500 here. A timer may fire a little early.
const MODEL_TIMEOUT: Duration = Duration::from_millis(1400);

/// The model's timeout and what a busy machine needs besides.
const SLOWEST: Duration = Duration::from_secs(5);

#[apply(e2e_test!)]
async fn is_replaced_by_the_lexicon_after_one_request(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let statuses = [
        500, 502, 503, 529, 408, 429, 400, 422, 418, 413, 451, 204, 301, 402, 403, 404, 405,
    ];
    let statuses = statuses.map(|status| Reply::Status(status, None));
    let broken = [Reply::CloseConnection, Reply::TruncatedBody];
    for reply in statuses.into_iter().chain(broken) {
        instance.reset_model_state().await;
        let (entry, word) = analyze(env, &instance, HAPPY_AND_SAD, reply).await;
        assert_by_lexicon(&entry);
        assert_eq!(env.model.request_count(&word), 1);
    }
}

#[apply(e2e_test!)]
async fn delays_only_the_entry_s_request_when_it_never_responds(env: &TestEnv) {
    check_timeout(env, Reply::NoResponse).await;
}

#[apply(e2e_test!)]
async fn delays_only_the_entry_s_request_when_its_body_never_ends(env: &TestEnv) {
    check_timeout(env, Reply::EndlessBody).await;
}

async fn check_timeout(env: &TestEnv, reply: Reply) {
    let instance = env.start_instance(&[]).await;
    let (user, other) = (instance.user().await, instance.user().await);
    let start = Instant::now();
    let (entry, word) = create_happy_and_sad(env, &user, reply).await;
    let elapsed = start.elapsed();
    assert_by_lexicon(&entry);
    assert!((MODEL_TIMEOUT..SLOWEST).contains(&elapsed), "{elapsed:?}");

    let content = format!("{HAPPY_AND_SAD} again {word}");
    let list = async {
        let start = Instant::now();
        other.list("").await;
        start.elapsed()
    };
    let (updated, elapsed) = tokio::join!(user.update_entry(&entry, &content), list);
    assert_by_lexicon(&updated.expect_status(200).json());
    assert!(elapsed < MODEL_TIMEOUT, "{elapsed:?}");
}

/// A redirect would send the token and the text to another server.
#[apply(e2e_test!)]
async fn cannot_redirect(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let location = format!("{}/elsewhere", env.model.host());
    for status in [301, 302, 307, 308] {
        instance.reset_model_state().await;
        let headers = vec![("location", location.clone())];
        let reply = Reply::Http(HttpReply(status, headers, "".into()));
        let (entry, word) = analyze(env, &instance, HAPPY_AND_SAD, reply).await;
        assert_by_lexicon(&entry);
        let requests = env.model.requests(&word);
        let paths: Vec<&str> = requests.iter().map(|request| &*request.path).collect();
        assert_eq!(paths, ["/inference/chat/completions"]);
    }
}

/// An invalid setting makes the sentiment component fail. The entry is stored without an analysis.
#[apply(e2e_test!)]
async fn loses_no_entry_when_the_sentiment_component_fails(env: &TestEnv) {
    for (name, value) in [
        ("github_auth_style", "handshake"),
        ("sentiment_cache_ttl", "for-ever"),
    ] {
        let instance = env.start_instance(&[(name, value)]).await;
        let reply = Reply::Phrases(&["lovely"], &[]);
        let (entry, _) = analyze(env, &instance, "A <lovely> day", reply).await;
        assert!(entry["analyzed_by"].is_null(), "{entry}");
        assert_phrases(&entry, &[]);
        let log = instance.wait_for_log(&[name]).await;
        assert!(!log.contains(value), "{log}");
    }
}
