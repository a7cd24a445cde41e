//! Which pages of other origins may call the service and read its responses.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::Client;
use crate::support::env::TestEnv;
use crate::support::invariants::assert_no_cors_headers;
use crate::support::registry::e2e_test;
use crate::support::response::Response;
use crate::support::unique::unique_email;

/// The default of `cors_origins`.
const LISTED: &str = "http://localhost:5173";

#[track_caller]
fn assert_allowed(response: &Response, origin: &str) {
    for (name, value) in [
        ("access-control-allow-origin", origin),
        ("access-control-allow-credentials", "true"),
        (
            "access-control-allow-methods",
            "GET, POST, PUT, DELETE, OPTIONS",
        ),
        (
            "access-control-allow-headers",
            "Content-Type, Authorization, X-Request-Id, Idempotency-Key, If-Match, If-None-Match",
        ),
        (
            "access-control-expose-headers",
            "ETag, Location, Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
        ),
    ] {
        assert_eq!(response.header(name), Some(value), "{}", response.dump());
    }
}

async fn get_health_from(client: &Client, origin: &str) -> Response {
    let request = client.request(Method::GET, "/health");
    request.header("origin", origin).send().await
}

#[apply(e2e_test!)]
async fn preflight_needs_no_token(env: &TestEnv) {
    let anonymous = env.anonymous();
    for path in [
        "/auth/login",
        "/auth/me",
        "/diaries",
        "/diaries/1",
        "/diaries/stats",
        "/health",
        "/docs",
    ] {
        let headers = "authorization,content-type";
        let request = anonymous.request(Method::OPTIONS, path);
        let request = request
            .header("origin", LISTED)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", headers);
        let response = request.send().await.expect_status(204);
        assert_allowed(&response, LISTED);
    }
}

#[apply(e2e_test!)]
async fn preflight_allows_nothing_to_another_origin(env: &TestEnv) {
    let request = env.anonymous().request(Method::OPTIONS, "/diaries");
    let request = request
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let response = request.send().await.expect_status(204);
    assert_no_cors_headers(&response);
}

#[apply(e2e_test!)]
async fn options_works_without_an_origin(env: &TestEnv) {
    let anonymous = env.anonymous();
    for path in ["/diaries", "/auth/login", "/health"] {
        let response = anonymous.request(Method::OPTIONS, path).send().await;
        response.expect_status(204);
    }
}

#[apply(e2e_test!)]
async fn allows_a_listed_origin_to_read_every_response(env: &TestEnv) {
    let user = env.user().await;
    let anonymous = user.anonymous();
    let content = json!({"content": "Written from a page of the app."});
    let credentials = json!({"email": unique_email(), "password": "x"});
    let requests = [
        (user.request(Method::GET, "/diaries"), 200),
        (user.request(Method::POST, "/diaries").json(&content), 201),
        (user.request(Method::POST, "/diaries").json(&json!({})), 400),
        (user.request(Method::DELETE, "/diaries/2147483647"), 404),
        (user.request(Method::PUT, "/health"), 405),
        (anonymous.request(Method::GET, "/diaries"), 401),
        (
            anonymous
                .request(Method::POST, "/auth/login")
                .json(&credentials),
            401,
        ),
        (anonymous.request(Method::GET, "/nowhere"), 404),
    ];
    for (request, status) in requests {
        let response = request.header("origin", LISTED).send().await;
        assert_allowed(&response.expect_status(status), LISTED);
    }
}

#[apply(e2e_test!)]
async fn allows_each_of_several_origins(env: &TestEnv) {
    let client = env.second_instance().await.anonymous();
    for origin in ["https://app.example", "https://other.example:8443"] {
        assert_allowed(&get_health_from(&client, origin).await, origin);
    }
    assert_no_cors_headers(&get_health_from(&client, LISTED).await);
}

#[apply(e2e_test!)]
async fn compares_origins_exactly(env: &TestEnv) {
    let anonymous = env.anonymous();
    for origin in [
        "https://evil.example",
        "null",
        "",
        "*",
        "file://",
        "http://localhost",
        "http://localhost:5174",
        "http://localhost:5173/",
        "http://localhost:5173.evil.example",
        "https://localhost:5173",
        "HTTP://LOCALHOST:5173",
        "http://localhost:5173 ,https://evil.example",
        "http://evil.example/http://localhost:5173",
        "http://a.localhost:5173",
    ] {
        let response = get_health_from(&anonymous, origin).await;
        assert_no_cors_headers(&response.expect_status(200));
    }
    let user = env.user().await;
    let request = user.request(Method::GET, "/diaries");
    let response = request
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_no_cors_headers(&response.expect_status(200));
}

#[apply(e2e_test!)]
async fn allows_nothing_to_a_request_with_two_origins(env: &TestEnv) {
    let request = env.anonymous().request(Method::GET, "/health");
    let request = request
        .header("origin", LISTED)
        .header("origin", "https://evil.example");
    assert_no_cors_headers(&request.send().await.expect_status(200));
}
