//! 200 concurrent entries while the model is down: all are stored with the lexicon's marks, and few requests wait for the model.

use std::time::{Duration, Instant};

use futures::future::join_all;
use macro_rules_attribute::apply;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::support::analysis::{HAPPY_AND_SAD, assert_by_lexicon, create_happy_and_sad};
use crate::support::client::Client;
use crate::support::env::{Settings, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_word;

const ENTRIES: usize = 200;

/// How many requests may ask the model although the circuit is open: on a busy machine some of them reach Redis too late.
const TOLERATED: usize = 1;

/// How many lines about the model the log may have, instead of one for each entry.
const MAX_LINES: usize = ENTRIES / 10;

/// How many requests may wait for the model before one of them has succeeded.
const MAX_WAITING: usize = 64;

/// Longer than everything else in a request takes, so that a request that took this long has waited for the model.
const MODEL_TIMEOUT: Duration = Duration::from_secs(15);
const MODEL_TIMEOUT_MS: (&str, &str) = ("github_timeout_ms", "15000");

/// Runs these tests one at a time, since together they would measure the machine.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn start(env: &TestEnv, settings: Settings<'_>) -> (Instance, Vec<Client>) {
    let limits = [("register_limit", "off"), ("login_limit", "off")];
    let settings = [settings, &limits].concat();
    let instance = env.start_instance(&settings).await;
    let mut users = Vec::new();
    for _ in 0..10 {
        users.push(instance.user().await);
    }
    (instance, users)
}

/// Creates [`ENTRIES`] entries at once. Returns how many of them took at least [`MODEL_TIMEOUT`].
async fn create_entries(users: &[Client], word: &str) -> usize {
    let create = async |number: usize| {
        let user = &users[number % users.len()];
        let body = json!({"content": format!("{HAPPY_AND_SAD} {word} {number}.")});
        let start = Instant::now();
        let response = user.post("/diaries", &body).await;
        assert_by_lexicon(&response.expect_status(201).json());
        start.elapsed()
    };
    let times = join_all((0..ENTRIES).map(create)).await;
    times.iter().filter(|time| **time >= MODEL_TIMEOUT).count()
}

#[apply(e2e_test!)]
async fn delays_no_entry_when_the_model_refuses_connections(env: &TestEnv) {
    let _alone = ALONE.lock().await;
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let address = listener.and_then(|listener| listener.local_addr());
    // The listener is closed again, so nothing listens there.
    let unreachable = format!("http://{}", address.expect("a port is free"));
    let settings = [MODEL_TIMEOUT_MS, ("github_models_host", &unreachable)];
    let (instance, users) = start(env, &settings).await;
    assert_eq!(create_entries(&users, &unique_word("zebra")).await, 0);
    let log = instance.wait_for_log(&["\"sentiment\"", "10 s"]).await;
    // On a busy machine, some requests reach Redis too late, and their lines are about Redis.
    let is_about_model =
        |line: &&str| line.contains("\"component\":\"sentiment\"") && !line.contains("Redis");
    let lines = log.lines().filter(is_about_model).count();
    assert!((1..=MAX_LINES).contains(&lines), "{lines} lines: {log}");
}

#[apply(e2e_test!)]
async fn delays_no_entry_when_the_circuit_is_open(env: &TestEnv) {
    let _alone = ALONE.lock().await;
    let (_instance, users) = start(env, &[MODEL_TIMEOUT_MS]).await;
    for user in &users[..3] {
        create_happy_and_sad(env, user, Reply::Status(500, None)).await;
    }
    let word = unique_word("zebra");
    env.model.set_reply(&word, Reply::NoResponse);
    let delayed = create_entries(&users, &word).await;
    let requests = env.model.request_count(&word);
    assert!(requests <= TOLERATED, "{requests} requests");
    assert!(
        delayed <= requests,
        "{delayed} delayed, {requests} requests"
    );
}

#[apply(e2e_test!)]
async fn delays_few_entries_when_the_model_hangs(env: &TestEnv) {
    let _alone = ALONE.lock().await;
    let (_instance, users) = start(env, &[("github_timeout_ms", "2000")]).await;
    let word = unique_word("zebra");
    env.model.set_reply(&word, Reply::NoResponse);
    create_entries(&users, &word).await;
    let requests = env.model.request_count(&word);
    let expected = 3..=MAX_WAITING + TOLERATED;
    assert!(expected.contains(&requests), "{requests} requests");
    // The timeouts have opened the circuit.
    create_entries(&users, &word).await;
    let more = env.model.request_count(&word) - requests;
    assert!(more <= TOLERATED, "{more} more requests");
}
