//! The log: what joins the lines of one request, and where its time was spent.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::happy_and_sad;
use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;
use crate::support::trace_collector::TraceCollector;
use crate::support::unique::unique_word;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Sends a request with these headers. Returns the lines of its log once `components` have written theirs.
async fn lines_of(
    instance: &Instance,
    client: &Client,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &Value,
    components: &[&str],
) -> Vec<Value> {
    let request_id = unique_word("logged");
    let mut request = client.request(method, path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.header("x-request-id", &request_id).json(body);
    request.send().await;
    let mut log = String::new();
    for component in components {
        let component = format!("\"component\":\"{component}\"");
        log = instance.wait_for_log(&[&request_id, &component]).await;
    }
    let lines = log.lines().filter(|line| line.contains(&request_id));
    lines
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// Spin replaces the header `traceparent` of calls between components while it exports traces, therefore
/// it exports them here.
#[apply(e2e_test!)]
async fn all_lines_of_a_request_have_the_id_of_its_trace(env: &TestEnv) {
    let collector = TraceCollector::start().await;
    let collector_url = collector.url();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let (database_url, redis_url) = (env.new_migrated_database().await, env.new_redis_database());
    let settings = [("log_level", "debug")];
    let instance = env
        .start_instance_with(&database_url, &redis_url, &settings, &environment)
        .await;
    let user = instance.user().await;
    let call = (Method::POST, "/diaries");
    let headers = [("traceparent", TRACEPARENT)];
    let (text, _) = happy_and_sad(env, Reply::Message("nonsense".into()));
    let body = json!({"content": text});
    let lines = lines_of(
        &instance,
        &user,
        call,
        &headers,
        &body,
        &["sentiment", "entries"],
    )
    .await;
    // Both calls of `sentiment`, the warning about the model, and the request itself.
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in lines {
        assert_eq!(line["trace_id"], TRACE_ID, "{line}");
    }
}

#[apply(e2e_test!)]
async fn an_invalid_trace_is_ignored(env: &TestEnv) {
    let zeros = TRACEPARENT.replace(TRACE_ID, &"0".repeat(32));
    let cases = [
        &[][..],
        &[("traceparent", "nonsense")],
        &[("traceparent", &*zeros)],
        &[("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
        &[("x-traceparent", TRACEPARENT)],
    ];
    let anonymous = env.anonymous();
    for headers in cases {
        let call = (Method::GET, "/health");
        let lines = lines_of(
            &env.shared,
            &anonymous,
            call,
            headers,
            &Value::Null,
            &["system"],
        )
        .await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].get("trace_id"), None, "{headers:?}");
    }
}

#[apply(e2e_test!)]
async fn the_model_receives_neither_trace_nor_request_id(env: &TestEnv) {
    let user = env.user().await;
    let (text, word) = happy_and_sad(env, Reply::Phrases(&["happy"], &[]));
    let request = user.request(Method::POST, "/diaries");
    let request = request.header("traceparent", TRACEPARENT);
    let request = request.header("x-request-id", unique_word("logged"));
    let request = request.json(&json!({"content": text}));
    request.send().await.expect_status(201);
    let requests = env.model.requests(&word);
    assert_eq!(requests.len(), 1);
    for name in ["traceparent", "x-traceparent", "x-request-id"] {
        assert_eq!(requests[0].headers.get(name), None, "{name}");
    }
}

#[apply(e2e_test!)]
async fn a_line_has_the_time_in_each_server(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let (text, _) = happy_and_sad(env, Reply::DelayedPhrases(&["happy"], &[]));
    let entry = json!({"content": text});
    let login = json!({"email": user.session().email, "password": PASSWORD});
    let none = Value::Null;
    let (postgres, redis, model) = ("postgres_ms", "redis_ms", "model_ms");
    let cases = [
        (Method::GET, "/health", &none, "system", &[][..]),
        (Method::GET, "/diaries", &none, "entries", &[postgres]),
        (
            Method::POST,
            "/auth/login",
            &login,
            "auth",
            &[postgres, redis],
        ),
        (
            Method::POST,
            "/diaries",
            &entry,
            "entries",
            &[postgres, redis, model],
        ),
    ];
    for (method, path, body, component, servers) in cases {
        let call = (method, path);
        let lines = lines_of(&instance, &user, call, &[], body, &[component]).await;
        let line = lines.last().expect("a line");
        let mut sum = 0.0;
        for server in [postgres, redis, model] {
            let time = line.get(server).and_then(Value::as_f64);
            assert_eq!(time.is_some(), servers.contains(&server), "{line}");
            sum += time.unwrap_or_default();
            // The stand-in for the model waits for half a second.
            let least = if server == model { 500.0 } else { 0.01 };
            assert!(time.is_none_or(|time| time >= least), "{line}");
        }
        assert!(
            sum <= line["duration_ms"].as_f64().expect("a number"),
            "{line}"
        );
    }
}
