//! `sentry_dsn`: the causes of responses 500 and 503 are reported, and nothing else.

use std::time::{Duration, Instant};

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, PASSWORD, entry_path};
use crate::support::env::{JWT_KEY, MODEL_TOKEN, SWEEP_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;
use crate::support::response::Response;
use crate::support::sentry_server::SentryServer;
use crate::support::unique::unique_word;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Starts an instance that reports to `sentry`.
async fn start(env: &TestEnv, sentry: &SentryServer) -> Instance {
    let (dsn, host) = (sentry.dsn(), sentry.host());
    let settings = [
        ("sentry_dsn", dsn.as_str()),
        ("sentry_host", host.as_str()),
        ("register_limit", "off"),
    ];
    env.start_instance(&settings).await
}

/// Makes requests that need the totals fail with 500.
async fn break_totals(instance: &Instance) {
    let database = instance.database().await;
    database
        .batch("alter table user_stats rename to missing")
        .await;
}

async fn fail(user: &Client, request_id: &str) -> Response {
    let request = user.request(Method::GET, "/diaries/stats");
    let request = request.header("x-request-id", request_id);
    let request = request.header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"));
    let response = request.send_unchecked().await;
    response.expect_error(500, "internal_error")
}

#[apply(e2e_test!)]
async fn receives_the_cause_of_a_failure(env: &TestEnv) {
    let sentry = SentryServer::start(Duration::ZERO).await;
    let instance = start(env, &sentry).await;
    let user = instance.user().await;
    break_totals(&instance).await;
    let request_id = unique_word("reported");
    fail(&user, &request_id).await;
    let envelope = sentry.wait_for(&request_id).await;
    assert_eq!(envelope.path, "/api/42/envelope/");
    let header = |name: &str| envelope.headers[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "application/x-sentry-envelope");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        header("x-sentry-auth"),
        format!(
            "Sentry sentry_version=7, sentry_client=thought-diary/{version}, sentry_key=0a1b2c3d4e5f"
        )
    );
    for name in ["traceparent", "x-request-id", "authorization"] {
        assert_eq!(envelope.headers.get(name), None, "{name}");
    }
    let lines = envelope.lines();
    let [head, item, event] = &lines[..] else {
        panic!("{lines:#?}")
    };
    let (id, time) = (&event["event_id"], &event["timestamp"]);
    assert_eq!(id.as_str().map(str::len), Some(32));
    assert_eq!(head, &json!({"event_id": id, "sent_at": time}));
    let event_line = envelope.body.lines().nth(2).expect("the third line");
    let length = event_line.len();
    assert_eq!(item, &json!({"type": "event", "length": length}));
    let expected = json!({
        "event_id": id,
        "timestamp": time,
        "platform": "other",
        "level": "error",
        "logger": "entries",
        "release": format!("thought-diary@{version}"),
        "transaction": "GET /diaries/stats",
        "message": {"formatted": "Postgres rejected a statement: SQLSTATE 42P01"},
        "tags": {
            "component": "entries",
            "method": "GET",
            "route": "/diaries/stats",
            "status": 500,
            "request_id": request_id,
            "trace_id": TRACE_ID,
        },
    });
    assert_eq!(event, &expected);
}

#[apply(e2e_test!)]
async fn receives_nothing_private_and_no_fault_of_a_client(env: &TestEnv) {
    let sentry = SentryServer::start(Duration::ZERO).await;
    let instance = start(env, &sentry).await;
    let user = instance.user().await;
    let word = unique_word("secretword");
    let body = json!({"content": format!("A lovely {word} in it.")});
    let created = user.post("/diaries", &body).await.expect_status(201);
    let path = entry_path(&created.json());
    let wrong = json!({"content": word.repeat(600)});
    user.post("/diaries", &wrong).await.expect_status(400);
    let anonymous = user.anonymous();
    anonymous.get(&format!("/{word}")).await.expect_status(404);
    anonymous.get(&path).await.expect_status(401);
    let database = instance.database().await;
    // Postgres repeats the row in its error.
    database
        .batch("alter table thought_diaries rename column content to missing")
        .await;
    let mut reported = 0;
    for (method, path, body) in [
        (Method::POST, "/diaries", &body),
        (Method::PUT, &path, &body),
        (Method::GET, &format!("/diaries?q={word}"), &Value::Null),
    ] {
        let request_id = unique_word("reported");
        let request = user.request(method, path).header("x-note", &word);
        let request = request.header("x-request-id", &request_id).json(body);
        request.send_unchecked().await.expect_status(500);
        sentry.wait_for(&request_id).await;
        reported += 1;
        // An instance reports once a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let received = sentry.received();
    assert_eq!(received.len(), reported, "{received:#?}");
    let session = user.session();
    let (local_part, _) = session.email.split_once('@').expect("an @");
    let received = format!("{received:?}");
    for private in [
        &*word,
        local_part,
        &session.access_token,
        &session.refresh_token,
        &user.address,
        PASSWORD,
        JWT_KEY,
        MODEL_TOKEN,
        SWEEP_TOKEN,
        &instance.database_url,
        &instance.redis_url,
    ] {
        assert!(!received.contains(private), "{private}: {received}");
    }
}

#[apply(e2e_test!)]
async fn receives_at_most_20_events_a_minute(env: &TestEnv) {
    let sentry = SentryServer::start(Duration::ZERO).await;
    let first = start(env, &sentry).await;
    let user = first.user().await;
    break_totals(&first).await;
    let mut replicas = vec![first];
    for _ in 0..2 {
        let (dsn, host) = (sentry.dsn(), sentry.host());
        let settings = [("sentry_dsn", &*dsn), ("sentry_host", &*host)];
        let replica = env.start_replica(&replicas[0], &settings).await;
        replicas.push(replica);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(11) {
        for replica in &replicas {
            fail(&user.on(&replica.service), &unique_word("reported")).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let received = sentry.received().len();
    // Without the limit of all instances there would be one each second from each.
    assert_eq!(received, 20);
}

#[apply(e2e_test!)]
async fn delays_no_response_when_it_hangs(env: &TestEnv) {
    let sentry = SentryServer::start(Duration::from_secs(60)).await;
    let instance = start(env, &sentry).await;
    let user = instance.user().await;
    break_totals(&instance).await;
    let request_id = unique_word("reported");
    let begun = Instant::now();
    fail(&user, &request_id).await;
    // Sentry gets 3 s.
    assert!(begun.elapsed() < Duration::from_millis(2500));
    sentry.wait_for(&request_id).await;
    let warning = [&*request_id, "Sentry did not answer in time"];
    instance.wait_for_log(&warning).await;
}
