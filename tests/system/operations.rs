//! `GET /health`, `/ready` and `/version`, and `HEAD` for every `GET`.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::time::assert_just_now;

#[apply(e2e_test!)]
async fn health_returns_the_time(env: &TestEnv) {
    let response = env.anonymous().get("/health?x=1").await;
    let body = response.expect_status(200).json();
    let timestamp = &body["timestamp"];
    assert_eq!(body, json!({"status": "healthy", "timestamp": timestamp}));
    assert_just_now(timestamp);
}

#[apply(e2e_test!)]
async fn ready_checks_both_servers(env: &TestEnv) {
    let response = env.anonymous().get("/ready").await;
    let expected = json!({
        "status": "ready",
        "checks": {"database": "ok", "redis": "ok"},
    });
    assert_eq!(response.expect_status(200).json(), expected);
}

#[apply(e2e_test!)]
async fn version_returns_the_versions_of_build_and_contract(env: &TestEnv) {
    let response = env.anonymous().get("/version").await;
    let expected = json!({"version": env!("CARGO_PKG_VERSION"), "api_level": "v1"});
    assert_eq!(response.expect_status(200).json(), expected);
}

#[apply(e2e_test!)]
async fn head_returns_the_headers_of_get(env: &TestEnv) {
    let user = env.user().await;
    for path in [
        "/version",
        "/openapi.json",
        "/docs",
        "/auth/me",
        "/diaries",
        "/diaries/stats",
    ] {
        let get = user.get(path).await.expect_status(200);
        let head = user.request(Method::HEAD, path).send().await;
        let head = head.expect_status(200);
        for name in [
            "content-length",
            "content-type",
            "cache-control",
            "content-security-policy",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    let missing = user.request(Method::HEAD, "/diaries/2147483647");
    missing.send().await.expect_status(404);
    let anonymous = user.anonymous().request(Method::HEAD, "/diaries");
    anonymous.send().await.expect_status(401);
}
