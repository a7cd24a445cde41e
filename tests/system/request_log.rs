//! The log: one JSON line per request.

use std::time::Duration;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Map, Value, json};

use crate::support::analysis::happy_and_sad;
use crate::support::client::{Client, entry_path};
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_word;

/// Returns the lines of an instance's log that have a request's id.
fn lines(instance: &Instance, request_id: &str) -> Vec<Map<String, Value>> {
    let log = instance.app.log();
    let lines = log.lines().filter(|line| line.contains(request_id));
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    lines.map(parse).collect()
}

/// Sends a request and returns its only line, without the values that differ from run to run.
async fn line_of(
    instance: &Instance,
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Value {
    let request_id = unique_word("logged");
    let request = client.request(method, path);
    let request = request.header("x-request-id", &request_id);
    match body {
        Some(body) => request.json(body).send().await,
        None => request.send().await,
    };
    instance.wait_for_log(&[&request_id]).await;
    let mut lines = lines(instance, &request_id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut line = lines.remove(0);
    assert_eq!(line.remove("request_id"), Some(request_id.into()));
    let time = line.remove("time").expect("a time");
    let time = time.as_str().expect("a string");
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let duration = line.remove("duration_ms").expect("a duration");
    assert!(duration.as_f64().expect("a number") >= 0.0, "{duration}");
    for server in ["postgres_ms", "redis_ms", "model_ms"] {
        line.remove(server);
    }
    line.into()
}

#[apply(e2e_test!)]
async fn has_one_line_per_request_with_a_route_pattern(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let entry = user.create_entry("A lovely day at the lake.").await;
    let path = entry_path(&entry);
    let content = json!({"content": "A lovely day in town."});
    let short = json!({"content": "short"});
    let with_query = format!("{path}?note=1");
    let analyze = format!("{path}/analyze");
    let cases = [
        (Method::GET, "/diaries?q=lake&page=1", None, "/diaries", 200),
        (Method::POST, "/diaries", Some(&content), "/diaries", 201),
        (Method::POST, "/diaries", Some(&short), "/diaries", 400),
        (Method::GET, &with_query, None, "/diaries/{id}", 200),
        (Method::PUT, &path, Some(&content), "/diaries/{id}", 200),
        (Method::POST, &analyze, None, "/diaries/{id}/analyze", 200),
        (Method::DELETE, &path, None, "/diaries/{id}", 204),
        (Method::GET, &path, None, "/diaries/{id}", 404),
    ];
    for (method, path, body, route, status) in cases {
        let line = line_of(&instance, &user, method.clone(), path, body).await;
        let expected = json!({
            "level": "info",
            "component": "entries",
            "method": method.as_str(),
            "route": route,
            "status": status,
            "user_id": user.session().user_id,
            "slow": false,
        });
        assert_eq!(line, expected, "{method} {path}");
    }
}

#[apply(e2e_test!)]
async fn has_no_user_without_a_valid_token(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let anonymous = instance.anonymous();
    for (path, component, route, status) in [
        ("/health", "system", "/health", 200),
        ("/diaries/7", "entries", "/diaries/{id}", 401),
        ("/auth/me", "auth", "/auth/me", 401),
    ] {
        let line = line_of(&instance, &anonymous, Method::GET, path, None).await;
        let expected = json!({
            "level": "info",
            "component": component,
            "method": "GET",
            "route": route,
            "status": status,
            "slow": false,
        });
        assert_eq!(line, expected, "{path}");
    }
    let secret_path = unique_word("secretpath");
    let path = format!("/{secret_path}");
    let line = line_of(&instance, &anonymous, Method::GET, &path, None).await;
    assert_eq!(line["status"], 404);
    assert!(!instance.app.log().contains(&secret_path));
}

#[apply(e2e_test!)]
async fn marks_slow_requests(env: &TestEnv) {
    let settings = [("slow_request_ms", "400")];
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    let (text, _) = happy_and_sad(env, Reply::DelayedPhrases(&["happy"], &[]));
    let body = json!({"content": text});
    let line = line_of(&instance, &user, Method::POST, "/diaries", Some(&body)).await;
    assert_eq!(line["slow"], true, "{line}");
    assert_eq!(line["level"], "info", "{line}");
}

#[apply(e2e_test!)]
async fn has_the_cause_of_a_failure_once(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let database = instance.database().await;
    database
        .batch("alter table user_stats rename to missing")
        .await;
    let request_id = unique_word("logged");
    let request = user.request(Method::GET, "/diaries/stats");
    let request = request.header("x-request-id", &request_id);
    let response = request.send_unchecked().await;
    response.expect_error(500, "internal_error");
    instance.wait_for_log(&[&request_id]).await;
    let lines = lines(&instance, &request_id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "error");
    assert_eq!(lines[0]["status"], 500);
    let cause = "Postgres rejected a statement: SQLSTATE 42P01";
    assert_eq!(lines[0]["message"], cause);
}

#[apply(e2e_test!)]
async fn has_only_lines_of_the_configured_level(env: &TestEnv) {
    let instance = env.start_instance(&[("log_level", "warn")]).await;
    let user = instance.user().await;
    user.list("").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let log = instance.app.log();
    assert!(!log.contains("\"component\""), "{log}");
    let debug = env
        .start_replica(&instance, &[("log_level", "debug")])
        .await;
    let user = user.on(&debug.service);
    user.create_entry("A lovely day at the lake.").await;
    // Calls between components are logged at this level only.
    debug
        .wait_for_log(&["\"level\":\"debug\"", "\"component\":\"sentiment\""])
        .await;
}

/// A row that another transaction has locked makes the statement wait until Postgres cancels it.
#[apply(e2e_test!)]
async fn options_in_the_database_url_keep_the_statement_timeout(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let with_options = format!("{url}?options=-c%20application_name%3Dkept");
    let redis_url = env.new_redis_database();
    let mut instance = env.start_instance_on(&with_options, &redis_url, &[]).await;
    instance.database_url = url.into();
    let user = instance.user().await;
    let entry = user.create_entry("A lovely day at the lake.").await;
    let (blocker, observer) = (instance.database().await, instance.database().await);
    blocker
        .batch("begin; select from thought_diaries for update")
        .await;
    let path = entry_path(&entry);
    let response = user.delete(&path).await;
    response.expect_error(503, "service_unavailable");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = "
        select application_name from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(observer.column::<String>(waiting).await, [""; 0]);
    let names = "
        select distinct application_name from pg_stat_activity
        where datname = current_database() and application_name <> ''";
    assert_eq!(observer.column::<String>(names).await, ["kept"]);
    blocker.batch("rollback").await;
    user.get(&path).await.expect_status(200);
}
