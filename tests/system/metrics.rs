//! `GET /internal/metrics`: what all instances counted, together.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use testbed::tcp_proxy::TcpProxy;

use crate::support::analysis::{create_happy_and_sad, happy_and_sad};
use crate::support::client::PASSWORD;
use crate::support::env::{SWEEP_TOKEN, TestEnv};
use crate::support::metrics::{self, Metrics, wait_for};
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

/// Longer than an instance takes to flush its counts and to end.
const SETTLED: Duration = Duration::from_secs(2);

#[apply(e2e_test!)]
async fn require_the_token_of_the_sweep(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let request = || user.request(Method::GET, "/internal/metrics");
    let response = request().without("authorization").send().await;
    response.expect_error(401, "unauthorized");
    let response = request().send().await;
    response.expect_error(401, "token_invalid");
    let post = user.request(Method::POST, "/internal/metrics");
    let response = post.bearer(SWEEP_TOKEN).send().await;
    let response = response.expect_error(405, "method_not_allowed");
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
    let disabled = env.start_instance(&[("sweep_token", "")]).await;
    let response = metrics::request(&disabled.anonymous()).await;
    response.expect_error(404, "not_found");
    let response = metrics::request(&user).await.expect_status(200);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(response.header("content-type"), Some(content_type));
}

/// The requests go to three processes, and in each of them to several instances of the components, of which some
/// end after 128 requests and the others after a second without one.
#[apply(e2e_test!)]
async fn count_the_requests_of_all_instances_exactly(env: &TestEnv) {
    let first = env.start_instance(&[("log_level", "warn")]).await;
    let second = env.start_replica(&first, &[("log_level", "warn")]).await;
    let third = env.start_replica(&first, &[("log_level", "warn")]).await;
    let user = first.user().await;
    for instance in [&first, &second, &third] {
        let user = &user.on(&instance.service);
        for _ in 0..5 {
            let lists = (0..40).map(|_| user.get("/diaries?page=1"));
            let missing = (0..20).map(|_| user.get("/diaries/2147483647"));
            let anonymous = (0..10).map(|_| async {
                let request = user.request(Method::GET, "/diaries");
                request.without("authorization").send().await
            });
            let version = (0..30).map(|_| user.get("/version"));
            tokio::join!(
                join_all(lists),
                join_all(missing),
                join_all(anonymous),
                join_all(version)
            );
        }
    }
    let list = "component=\"entries\",method=\"GET\",route=\"/diaries\"";
    let read = "component=\"entries\",method=\"GET\",route=\"/diaries/{id}\"";
    let version = "component=\"system\",method=\"GET\",route=\"/version\"";
    let (total, bucket) = (
        "http_requests_total",
        "http_request_duration_seconds_bucket",
    );
    let expected = [
        (&*format!("{total}{{{list},status=\"200\"}}"), 600.0),
        (&*format!("{total}{{{list},status=\"401\"}}"), 150.0),
        (&*format!("{total}{{{read},status=\"404\"}}"), 300.0),
        (&*format!("{total}{{{version},status=\"200\"}}"), 450.0),
        (&*format!("{bucket}{{{list},le=\"+Inf\"}}"), 750.0),
        (
            "postgres_connection_wait_seconds_count{component=\"auth\"}",
            3.0,
        ),
    ];
    let client = second.anonymous();
    wait_for(&client, &expected).await;
    tokio::time::sleep(SETTLED).await;
    let metrics = wait_for(&client, &expected).await;
    let name = "http_request_duration_seconds";
    let sum = metrics.get(&format!("{name}_sum{{{list}}}"));
    assert!(sum.is_some_and(|sum| sum > 0.0), "{sum:?}");
    let mut last = 0.0;
    for bound in ["0.005", "0.01", "0.1", "1", "10", "+Inf"] {
        let bucket = metrics.get(&format!("{name}_bucket{{{list},le=\"{bound}\"}}"));
        let bucket = bucket.expect("every bucket is shown");
        assert!(bucket >= last, "{bound}");
        last = bucket;
    }
    let count = metrics.get(&format!("{name}_count{{{list}}}"));
    assert_eq!(count, Some(750.0));
    // The processes were asked for their health when they started.
    let series = metrics.of("http_requests_total");
    let health = series.keys().find(|series| series.contains("/health"));
    assert_eq!(health, None);
}

#[apply(e2e_test!)]
async fn count_refused_logins_and_calls_of_the_model(env: &TestEnv) {
    let settings = [("login_limit", "3/15m"), ("register_limit", "off")];
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    let guesser = user.anonymous();
    for status in [401, 401, 401, 429, 429] {
        let response = guesser
            .try_log_in(&user.session().email, "Wr0ng!guess")
            .await;
        response.expect_status(status);
    }
    guesser.try_log_in("", PASSWORD).await.expect_status(429);

    let (text, word) = happy_and_sad(env, Reply::Phrases(&["happy"], &[]));
    let other = instance.user().await;
    for client in [&user, &other, &user] {
        client.create_entry(&text).await;
    }
    assert_eq!(env.model.request_count(&word), 1);
    create_happy_and_sad(env, &user, Reply::Message("Certainly!".into())).await;
    create_happy_and_sad(env, &user, Reply::Status(500, None)).await;
    let expected = [
        ("logins_refused_total{reason=\"invalid_credentials\"}", 3.0),
        ("logins_refused_total{reason=\"rate_limit\"}", 3.0),
        ("logins_refused_total{reason=\"unavailable\"}", 0.0),
        ("model_calls_total{outcome=\"success\"}", 1.0),
        ("model_calls_total{outcome=\"unusable\"}", 1.0),
        ("model_calls_total{outcome=\"failure\"}", 1.0),
        ("model_call_duration_seconds_count", 3.0),
        ("model_cache_hits_total", 2.0),
        ("model_fallbacks_total{reason=\"unusable\"}", 1.0),
        ("model_fallbacks_total{reason=\"unavailable\"}", 1.0),
        ("analysis_backlog_entries", 2.0),
        ("postgres_up", 1.0),
    ];
    wait_for(&instance.anonymous(), &expected).await;
}

/// Redis executes a batch twice here: when it resumes, and when the instance sends it again.
#[apply(e2e_test!)]
async fn count_each_request_once_when_redis_hangs(env: &TestEnv) {
    let proxy = TcpProxy::start(env.redis_address()).await;
    let database_url = env.new_migrated_database().await;
    let redis_url = proxy.url(&env.new_redis_database());
    let instance = env.start_instance_on(&database_url, &redis_url, &[]).await;
    let client = instance.anonymous();
    client.get("/version").await.expect_status(200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    // One instance serves all of these, because they follow each other and are fewer than 128.
    let mut sent = 1;
    let start = Instant::now();
    proxy.stall();
    while start.elapsed() < Duration::from_secs(6) {
        if start.elapsed() > Duration::from_secs(4) {
            proxy.resume();
        }
        client.get("/version").await.expect_status(200);
        sent += 1;
        tokio::time::sleep(Duration::from_millis(70)).await;
    }
    assert!((50..120).contains(&sent), "{sent}");
    let series = "http_requests_total{component=\"system\",method=\"GET\",route=\"/version\",status=\"200\"}";
    let expected = [(series, f64::from(sent))];
    wait_for(&client, &expected).await;
    tokio::time::sleep(SETTLED).await;
    wait_for(&client, &expected).await;
}

#[apply(e2e_test!)]
async fn are_unavailable_without_redis_and_show_a_postgres_that_is_down(env: &TestEnv) {
    let servers = env.with_killable_servers().await;
    let user = servers.instance.user().await;
    servers.redis.kill();
    user.get("/diaries").await.expect_status(200);
    let response = metrics::request(&user).await;
    response.expect_error(503, "service_unavailable");
    let cause = ["/internal/metrics", "\"message\":\"Redis"];
    servers.instance.wait_for_log(&cause).await;
    servers.redis.restart().await.expect("Redis restarts");
    servers.postgres.kill();
    let metrics = Metrics::scrape(&user).await;
    assert_eq!(metrics.get("postgres_up"), Some(0.0));
    assert_eq!(metrics.get("analysis_backlog_entries"), None);
    servers.postgres.restart().await.expect("Postgres restarts");
    wait_for(&user, &[("postgres_up", 1.0)]).await;
}

#[apply(e2e_test!)]
async fn pass_promtool(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    user.create_entry("A lovely day at the lake.").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let text = metrics::request(&user).await.expect_status(200).text();
    let child = Command::new("promtool")
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return eprintln!("skipped: install promtool, which is in Debian's package prometheus");
    };
    let mut input = child.stdin.take().expect("the input is a pipe");
    input.write_all(text.as_bytes()).expect("promtool reads");
    drop(input);
    let output = child.wait_with_output().expect("promtool ends");
    let findings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{findings}");
    assert_eq!(findings, "");
}
