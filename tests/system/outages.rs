//! Postgres or Redis down or hanging: a 503 in time where they are needed, and a recovery without a restart.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};
use testbed::tcp_proxy::TcpProxy;

use crate::support::client::{Client, PASSWORD, entry_id, entry_path};
use crate::support::env::{HIGH_LIMITS, TestEnv};
use crate::support::registry::e2e_test;
use crate::support::request::Request;
use crate::support::response::Response;
use crate::support::unique::unique_email;

/// How long a response may take while a server is down.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the service may take to recover.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request and fails if the response takes too long. A busy machine gets two more attempts.
async fn send_in_time(request: impl Fn() -> Request) -> Response {
    let mut times = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let response = request().send().await;
        let elapsed = start.elapsed();
        if elapsed < RESPONSE_TIMEOUT {
            return response;
        }
        times.push((response.method, response.path, elapsed));
    }
    panic!("no response within {RESPONSE_TIMEOUT:?}: {times:?}");
}

async fn get_in_time(client: &Client, path: &str) -> Response {
    send_in_time(|| client.request(Method::GET, path)).await
}

/// Sends every request that needs Postgres at once and expects 503.
async fn assert_postgres_unavailable(user: &Client, entry: &str) {
    let content = json!({"content": "This cannot be stored now."});
    let credentials = json!({"email": unique_email(), "password": PASSWORD});
    let requests = [
        (Method::GET, "/auth/me", &Value::Null),
        (Method::POST, "/auth/logout", &Value::Null),
        (Method::GET, "/diaries", &Value::Null),
        (Method::POST, "/diaries", &content),
        (Method::GET, "/diaries/stats", &Value::Null),
        (Method::GET, entry, &Value::Null),
        (Method::PUT, entry, &content),
        (Method::DELETE, entry, &Value::Null),
        (Method::POST, "/auth/register", &credentials),
        (Method::POST, "/auth/login", &credentials),
    ];
    let responses = requests.map(|(method, path, body)| {
        send_in_time(move || user.request(method.clone(), path).json(body))
    });
    for response in join_all(responses).await {
        response.expect_error(503, "service_unavailable");
    }
}

/// Logs in and registers without Redis. Postgres counts the attempts.
async fn assert_logins_available(user: &Client) {
    let client = user.anonymous();
    for (path, email, status) in [
        ("/auth/login", &user.session().email, 200),
        ("/auth/register", &unique_email(), 201),
    ] {
        let credentials = json!({"email": email, "password": PASSWORD});
        let request = || client.request(Method::POST, path).json(&credentials);
        send_in_time(request).await.expect_status(status);
    }
}

/// Checks requests that need neither server.
async fn assert_rest_available(user: &Client) {
    let anonymous = user.anonymous();
    for (path, status) in [
        ("/health", 200),
        ("/version", 200),
        ("/docs", 200),
        ("/nowhere", 404),
        ("/diaries", 401),
        ("/auth/me", 401),
    ] {
        get_in_time(&anonymous, path).await.expect_status(status);
    }
}

async fn assert_postgres_down(user: &Client) {
    let body = get_in_time(user, "/ready").await.expect_status(503).json();
    let checks = json!({"database": "down", "redis": "ok"});
    assert_eq!(body, json!({"status": "unavailable", "checks": checks}));
}

/// Logged-in users are served without Redis, so a load balancer must keep sending requests.
async fn assert_redis_down(user: &Client) {
    let body = get_in_time(user, "/ready").await.expect_status(200).json();
    let checks = json!({"database": "ok", "redis": "down"});
    assert_eq!(body, json!({"status": "degraded", "checks": checks}));
}

async fn wait_until_ready(user: &Client) {
    let start = Instant::now();
    while user.get("/ready").await.json()["status"] != "ready" {
        let elapsed = start.elapsed();
        assert!(elapsed < RECOVERY_TIMEOUT, "not ready after {elapsed:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[apply(e2e_test!)]
async fn of_postgres_end_in_503_and_a_recovery(env: &TestEnv) {
    let servers = env.with_killable_servers().await;
    let user = servers.instance.user().await;
    let entry = user.create_entry("Written before the outage.").await;
    servers.postgres.kill();
    // The first round meets connections of the pool, the second has to open new ones.
    for _ in 0..2 {
        assert_postgres_unavailable(&user, &entry_path(&entry)).await;
    }
    assert_postgres_down(&user).await;
    assert_rest_available(&user).await;
    servers.postgres.restart().await.expect("Postgres restarts");
    wait_until_ready(&user).await;
    for _ in 0..40 {
        assert_eq!(user.read_entry(&entry).await, entry);
    }
    user.create_entry("Written after the outage.").await;
    assert_eq!(user.stats().await["total_entries"], 2);
    let again = user.log_in(&user.session().email, PASSWORD).await;
    again.get("/auth/me").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn of_postgres_lose_no_entry_that_was_acknowledged(env: &TestEnv) {
    let servers = env.with_killable_servers().await;
    let user = servers.instance.user().await;
    let stop = AtomicBool::new(false);
    let crash = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        servers.postgres.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        servers.postgres.restart().await.expect("Postgres restarts");
        wait_until_ready(&user).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let writers = (0..6).map(|writer| create_entries(&user, writer, &stop));
    let ((), created) = tokio::join!(crash, join_all(writers));
    let created: BTreeSet<i64> = created.into_iter().flatten().collect();
    assert!(created.len() > 20, "only {} entries", created.len());
    let stored = user.all_entries().await;
    let stored: BTreeSet<i64> = stored.iter().map(entry_id).collect();
    let lost: Vec<_> = created.difference(&stored).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // An entry whose response was lost may be stored, and then the totals count it.
    assert_eq!(user.stats().await["total_entries"], stored.len());
}

/// Creates entries one after another. Returns the ids of those that were acknowledged.
async fn create_entries(user: &Client, writer: usize, stop: &AtomicBool) -> Vec<i64> {
    let mut created = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = created.len();
        let content = format!("Entry {number} of writer {writer}.");
        let response = user.post("/diaries", &json!({"content": content})).await;
        match response.status {
            201 => created.push(entry_id(&response.json())),
            _ => drop(response.expect_error(503, "service_unavailable")),
        }
    }
    created
}

#[apply(e2e_test!)]
async fn of_redis_stop_no_request(env: &TestEnv) {
    let servers = env.with_killable_servers().await;
    let user = servers.instance.user().await;
    servers.redis.kill();
    assert_logins_available(&user).await;
    assert_redis_down(&user).await;
    assert_rest_available(&user).await;
    let content = json!({"content": "Redis is not needed for this."});
    let request = || user.request(Method::POST, "/diaries").json(&content);
    let created = send_in_time(request).await.expect_status(201);
    let entry = entry_path(&created.json());
    for path in [&entry, "/diaries", "/auth/me"] {
        get_in_time(&user, path).await.expect_status(200);
    }
    user.refresh().await.expect_status(200);
    servers.redis.restart().await.expect("Redis restarts");
    wait_until_ready(&user).await;
    for _ in 0..5 {
        user.log_in(&user.session().email, PASSWORD).await;
    }
    servers.instance.user().await;
    user.log_out().await.expect_status(200);
}

#[apply(e2e_test!)]
async fn of_a_hanging_postgres_end_in_503_and_a_recovery(env: &TestEnv) {
    let proxy = TcpProxy::start(env.postgres_address()).await;
    let database_url = proxy.url(&env.new_migrated_database().await);
    let redis_url = env.new_redis_database();
    let instance = env
        .start_instance_on(&database_url, &redis_url, HIGH_LIMITS)
        .await;
    let user = instance.user().await;
    let entry = user.create_entry("Written before the outage.").await;
    proxy.stall();
    for _ in 0..2 {
        assert_postgres_unavailable(&user, &entry_path(&entry)).await;
    }
    assert_postgres_down(&user).await;
    assert_rest_available(&user).await;
    proxy.resume();
    wait_until_ready(&user).await;
    // Postgres may have executed the requests that got 503, the logout and the deletion among them.
    let again = user.log_in(&user.session().email, PASSWORD).await;
    for _ in 0..40 {
        again.get("/diaries").await.expect_status(200);
    }
    let stored = again.all_entries().await;
    assert_eq!(again.stats().await["total_entries"], stored.len());
}

#[apply(e2e_test!)]
async fn of_a_hanging_redis_stop_no_request(env: &TestEnv) {
    let proxy = TcpProxy::start(env.redis_address()).await;
    let database_url = env.new_migrated_database().await;
    let redis_url = proxy.url(&env.new_redis_database());
    let instance = env
        .start_instance_on(&database_url, &redis_url, HIGH_LIMITS)
        .await;
    let user = instance.user().await;
    proxy.stall();
    for _ in 0..2 {
        assert_logins_available(&user).await;
    }
    assert_redis_down(&user).await;
    assert_rest_available(&user).await;
    get_in_time(&user, "/diaries").await.expect_status(200);
    proxy.resume();
    wait_until_ready(&user).await;
    for _ in 0..5 {
        user.log_in(&user.session().email, PASSWORD).await;
    }
}

/// The runtime writes what the components log to files. Writes to this device fail as on a full disk.
#[apply(e2e_test!)]
async fn of_the_log_stop_no_request(env: &TestEnv) {
    let state_dir = env.new_folder();
    let logs = state_dir.join("logs");
    std::fs::create_dir(&logs).expect("the folder is created");
    for component in ["auth", "entries", "hashing", "sentiment", "system"] {
        let file = logs.join(format!("{component}_stderr.txt"));
        std::os::unix::fs::symlink("/dev/full", file).expect("the link is created");
    }
    let database_url = env.new_migrated_database().await;
    let redis_url = env.new_redis_database();
    // Debug, so that each component writes lines.
    let settings = [("log_level", "debug")];
    let instance = env.start_instance_in(state_dir, &database_url, &redis_url, &settings, &[]);
    let instance = instance.await;
    let user = instance.user().await;
    let entry = user
        .create_entry("Nothing is logged, and all is well.")
        .await;
    assert_eq!(user.read_entry(&entry).await, entry);
    user.get("/ready").await.expect_status(200);
}
