//! Diary text, emails, passwords, tokens and secrets: none of them in logs, in Redis or in traces.

use http::Method;
use macro_rules_attribute::apply;
use redis::AsyncCommands;
use serde_json::{Value, json};
use testbed::tcp_proxy::TcpProxy;

use crate::support::client::{PASSWORD, entry_path};
use crate::support::env::{JWT_KEY, MODEL_TOKEN, Settings, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::{HttpReply, Reply};
use crate::support::registry::e2e_test;
use crate::support::trace_collector::{TraceCollector, contains};
use crate::support::unique::unique_word;

/// Logs more than production does.
const VERBOSE: Settings<'_> = &[("log_level", "debug"), ("register_limit", "off")];

/// Sends what clients send, valid and invalid. Returns everything that must stay private.
async fn visit(env: &TestEnv, instance: &Instance, request_id: &str) -> Vec<String> {
    let word = unique_word("secretword");
    let user = instance.user().await;
    let session = user.session();
    let body = |start: &str| json!({"content": format!("{start} {word} in it.")});
    let created = user.post("/diaries", &body("A lovely")).await;
    let path = entry_path(&created.expect_status(201).json());
    let request = |method: Method, path: &str| {
        user.request(method, path)
            .header("x-request-id", request_id)
    };
    for reply in [
        Reply::Status(500, None),
        Reply::Message(format!("nonsense about {word}")),
        Reply::NoResponse,
        Reply::CloseConnection,
    ] {
        env.model.set_reply(&word, reply);
        let update = request(Method::PUT, &path).json(&body("An awful"));
        update.send().await.expect_status(200);
    }
    let not_json = format!("{{\"content\": \"{word}");
    let requests = [
        (
            request(Method::POST, "/diaries").json(&json!({"content": [word]})),
            400,
        ),
        (
            request(Method::POST, "/diaries").body("application/json", not_json),
            400,
        ),
        (
            request(Method::GET, &format!("/diaries/0?page={word}")),
            404,
        ),
        (
            request(Method::GET, "/diaries").bearer(&format!("{}x", session.access_token)),
            401,
        ),
        (
            request(Method::GET, "/diaries")
                .header("x-note", &word)
                .header("cookie", &word),
            200,
        ),
        (
            request(Method::POST, "/auth/refresh").bearer(&session.refresh_token),
            200,
        ),
    ];
    for (request, status) in requests {
        request.send().await.expect_status(status);
    }
    let wrong_password = format!("Wr0ng!{word}");
    let anonymous = user.anonymous();
    let response = anonymous.try_log_in(&session.email, &wrong_password).await;
    response.expect_error(401, "invalid_credentials");
    let response = anonymous.register(&session.email, &wrong_password).await;
    response.expect_error(400, "user_exists");
    let logout = request(Method::POST, "/auth/logout");
    logout.send().await.expect_status(200);
    let (local_part, _) = session.email.split_once('@').expect("an @");
    vec![
        local_part.to_owned(),
        session.access_token.clone(),
        session.refresh_token.clone(),
        PASSWORD.to_owned(),
        JWT_KEY.to_owned(),
        MODEL_TOKEN.to_owned(),
        word,
    ]
}

#[apply(e2e_test!)]
async fn keeps_private_values_out_of_the_log(env: &TestEnv) {
    let instance = env.start_instance(VERBOSE).await;
    let request_id = unique_word("visit");
    let private = visit(env, &instance, &request_id).await;
    let log = instance.wait_for_log(&["model", &request_id]).await;
    for value in private
        .iter()
        .chain([&*instance.database_url, &*instance.redis_url])
    {
        let line = log.lines().find(|line| line.contains(value.as_str()));
        assert_eq!(line, None, "{value}");
    }
}

#[apply(e2e_test!)]
async fn keeps_private_values_out_of_redis(env: &TestEnv) {
    let instance = env.start_instance(VERBOSE).await;
    let private = visit(env, &instance, &unique_word("visit")).await;
    let anonymous = instance.anonymous();
    let response = anonymous.try_log_in("ann@example.com", "x").await;
    response.expect_error(401, "invalid_credentials");
    let stored = redis_contents(&instance).await;
    for prefix in ["limit:", "{sentiment}:marks:", "{sentiment}:model:"] {
        let has_prefix = stored.iter().any(|(key, _)| key.starts_with(prefix));
        assert!(has_prefix, "no key begins with {prefix}: {stored:?}");
    }
    for value in &private {
        assert_absent(&stored, value);
    }
}

/// Returns keys and values of every type in an instance's Redis. Fails if a key does not expire.
async fn redis_contents(instance: &Instance) -> Vec<(String, Vec<u8>)> {
    let mut redis = instance.redis().await;
    let keys: Vec<String> = redis.keys("*").await.expect("Redis lists its keys");
    let mut contents = Vec::new();
    for key in keys {
        let mut pipeline = redis::pipe();
        let pipeline = pipeline.cmd("TYPE").arg(&key).cmd("PTTL").arg(&key);
        let both = pipeline.query_async(&mut redis).await;
        let (kind, ttl): (String, i64) = both.expect("Redis returns type and expiry");
        assert_ne!(ttl, -1, "{key} does not expire");
        let value = match kind.as_str() {
            "string" => redis.get(&key).await.expect("a string"),
            "hash" => {
                let fields: Vec<Vec<u8>> = redis.hgetall(&key).await.expect("a hash");
                fields.concat()
            }
            // The key has expired since it was listed.
            "none" => Vec::new(),
            other => panic!("{key} is a {other}, which this test does not read"),
        };
        contents.push((key, value));
    }
    contents
}

#[track_caller]
fn assert_absent(contents: &[(String, Vec<u8>)], text: &str) {
    assert!(!contents.is_empty(), "Redis is empty");
    for (key, value) in contents {
        assert!(!key.contains(text), "{text} in {key}");
        assert!(!contains(value, text), "{text} in the value of {key}");
    }
}

#[apply(e2e_test!)]
async fn keeps_diary_text_out_of_logs_traces_and_redis_in_every_failure(env: &TestEnv) {
    let to_postgres = TcpProxy::start(env.postgres_address()).await;
    let to_redis = TcpProxy::start(env.redis_address()).await;
    let database_url = env.new_migrated_database().await;
    let redis_url = env.new_redis_database();
    let collector = TraceCollector::start().await;
    let collector_url = collector.url();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector_url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ];
    let proxied = (to_postgres.url(&database_url), to_redis.url(&redis_url));
    let mut instance = env
        .start_instance_with(&proxied.0, &proxied.1, VERBOSE, &environment)
        .await;
    // The test itself bypasses the proxies.
    (instance.database_url, instance.redis_url) = (database_url.into(), redis_url.into());
    let word = cause_failures(env, &instance, &to_postgres, &to_redis).await;

    let last = unique_word("last");
    let response = instance.anonymous().get(&format!("/{last}")).await;
    response.expect_error(404, "not_found");
    if env.runs_on_spin() {
        let traces = collector.received_up_to(&last).await;
        for part in ["spin_outbound_pg", "EVAL", "/diaries"] {
            assert!(contains(&traces, part), "{part} is not traced");
        }
        assert!(!contains(&traces, &word), "diary text is traced");
    }
    let log = instance
        .wait_for_log(&["\"level\":\"error\"", "Postgres"])
        .await;
    let line = log.lines().find(|line| contains(line.as_bytes(), &word));
    assert_eq!(line, None);
    assert_absent(&redis_contents(&instance).await, &word);
}

/// Writes entries while the model, Postgres and Redis fail in many ways. Returns a word that is in all of them.
async fn cause_failures(
    env: &TestEnv,
    instance: &Instance,
    to_postgres: &TcpProxy,
    to_redis: &TcpProxy,
) -> String {
    let word = unique_word("secretword");
    let user = instance.user().await;
    let text = |start: &str| format!("{start} {word} in it.");
    let entry = user.create_entry(&text("A lovely")).await;
    for reply in model_failures(&word) {
        instance.reset_model_state().await;
        env.model.set_reply(&word, reply);
        let updated = user.update_entry(&entry, &text("An awful")).await;
        updated.expect_status(200);
    }
    user.analyze_entry(&entry).await.expect_status(200);
    // The circuit is open now.
    let updated = user.update_entry(&entry, &text("A sad")).await;
    updated.expect_status(200);

    let mut errors = Vec::new();
    let database = instance.database().await;
    for (break_table, repair_table) in [
        (
            "alter table thought_diaries rename to missing",
            "alter table missing rename to thought_diaries",
        ),
        // Postgres repeats the whole row in the error of a check.
        (
            "alter table thought_diaries add constraint unhappy check (content not like '%A happy%')",
            "alter table thought_diaries drop constraint unhappy",
        ),
        (
            "alter table thought_diaries rename content to missing",
            "alter table thought_diaries rename missing to content",
        ),
    ] {
        database.batch(break_table).await;
        let body = json!({"content": text("A happy")});
        for request in [
            user.request(Method::POST, "/diaries"),
            user.request(Method::PUT, &entry_path(&entry)),
        ] {
            let response = request.json(&body).send_unchecked().await;
            errors.push(response.expect_error(500, "internal_error"));
        }
        database.batch(repair_table).await;
    }
    to_redis.stall();
    let updated = user.update_entry(&entry, &text("A good")).await;
    updated.expect_status(200);
    to_redis.resume();
    to_postgres.stall();
    let updated = user.update_entry(&entry, &text("A bad")).await;
    errors.push(updated.expect_error(503, "service_unavailable"));
    to_postgres.resume();
    for body in [
        format!("{{\"content\": [\"{word}\"]}}"),
        format!("{{\"content\": \"{word}"),
        format!("{{\"content\": \"{word}\", \"{word}\": 1}}").repeat(2),
    ] {
        let request = user.request(Method::POST, "/diaries");
        let response = request.body("application/json", body).send().await;
        errors.push(response.expect_error(400, "validation_error"));
    }
    assert_eq!(errors.len(), 10);
    for error in errors {
        assert!(!contains(&error.body, &word), "{}", error.dump());
    }
    word
}

/// Returns the ways in which a model fails. Some of them repeat the text.
fn model_failures(word: &str) -> Vec<Reply> {
    let error: Value = json!({"error": {"message": format!("I do not like {word}")}});
    let with_status = |status| Reply::Http(HttpReply(status, Vec::new(), error.to_string().into()));
    let mut failures = vec![
        Reply::Message(format!("nonsense about {word}")),
        Reply::Message(format!("{{\"positive\": [\"not {word}\"], \"{word}\": 1}}")),
        Reply::Body(format!("<html>{word}").into()),
        Reply::Choice(json!({"message": {"refusal": word}})),
        Reply::NoResponse,
        Reply::CloseConnection,
        Reply::TruncatedBody,
        Reply::EndlessBody,
        Reply::Status(429, Some(1)),
    ];
    let statuses = [200, 302, 400, 401, 403, 404, 410, 413, 422, 429, 500, 503];
    failures.extend(statuses.map(with_status));
    failures
}
