//! Invalid settings: requests that need them get 503, and the log names the setting but not its value.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::PASSWORD;
use crate::support::env::{Settings, TestEnv};
use crate::support::invariants::assert_invariants;
use crate::support::registry::e2e_test;

/// Starts an instance with invalid settings, sends requests with the expected statuses, and checks the log.
async fn check(env: &TestEnv, settings: Settings<'_>, requests: &[(&str, u16)]) {
    let instance = env.start_instance(settings).await;
    let anonymous = instance.anonymous();
    for (path, status) in requests {
        let method = match *path {
            "/auth/login" | "/auth/register" => Method::POST,
            _ => Method::GET,
        };
        let body = json!({"email": "ann@example.com", "password": PASSWORD});
        let request = anonymous.request(method, path).json(&body);
        // The document has no 503 for `/health`, as clients need not expect one.
        let response = request.send_unchecked().await;
        assert_invariants(&response, false);
        let response = response.expect_status(*status);
        if *status == 503 {
            response.expect_error(503, "service_unavailable");
        }
    }
    for (name, value) in settings {
        let log = instance.wait_for_log(&[name]).await;
        assert!(!log.contains(value), "the log has the value of {name}");
    }
}

#[apply(e2e_test!)]
async fn a_short_key_stops_what_needs_tokens(env: &TestEnv) {
    let settings = [("jwt_secret_key", "only-31-bytes-of-a-key-as-it-is")];
    let requests = [
        ("/auth/login", 503),
        ("/auth/me", 503),
        ("/diaries", 503),
        ("/diaries/1", 503),
        ("/health", 200),
        ("/ready", 200),
    ];
    check(env, &settings, &requests).await;
}

#[apply(e2e_test!)]
async fn an_invalid_limit_or_timeout_stops_the_component_that_reads_it(env: &TestEnv) {
    let settings = [
        ("login_limit", "quite-often"),
        ("github_timeout_ms", "not-too-long"),
    ];
    let requests = [
        ("/auth/login", 503),
        ("/auth/register", 503),
        ("/diaries", 503),
        ("/ready", 200),
    ];
    check(env, &settings, &requests).await;
}

#[apply(e2e_test!)]
async fn an_invalid_database_url_stops_what_needs_the_database(env: &TestEnv) {
    let settings = [("database_url", "mysql://somewhere-else/diary")];
    let requests = [
        ("/auth/login", 503),
        ("/diaries", 503),
        ("/ready", 503),
        ("/health", 200),
        ("/version", 200),
    ];
    check(env, &settings, &requests).await;
}

#[apply(e2e_test!)]
async fn an_invalid_number_of_proxies_stops_everything(env: &TestEnv) {
    let settings = [("trusted_proxy_hops", "some-of-them")];
    let requests = [
        ("/auth/login", 503),
        ("/diaries", 503),
        ("/health", 503),
        ("/nowhere", 503),
    ];
    check(env, &settings, &requests).await;
}

#[apply(e2e_test!)]
async fn an_invalid_sentry_dsn_stops_everything(env: &TestEnv) {
    let settings = [("sentry_dsn", "https://no-key.example/1")];
    let requests = [("/auth/login", 503), ("/diaries", 503), ("/health", 503)];
    check(env, &settings, &requests).await;
}

#[apply(e2e_test!)]
async fn an_invalid_origin_stops_everything(env: &TestEnv) {
    let settings = [("cors_origins", "everybody.example/*")];
    let requests = [("/auth/login", 503), ("/diaries", 503), ("/health", 503)];
    check(env, &settings, &requests).await;
}
