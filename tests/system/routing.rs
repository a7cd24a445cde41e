//! Unknown paths, methods and ids, and requests that are long but valid.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::PASSWORD;
use crate::support::env::TestEnv;
use crate::support::raw_http::{exchange, statuses};
use crate::support::registry::e2e_test;
use crate::support::unique::unique_email;

#[apply(e2e_test!)]
async fn responds_404_to_an_unknown_path(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let paths = [
        "/",
        "//",
        "/x",
        "/auth",
        "/auth/",
        "/auth/login/",
        "/auth/x",
        "/auth/login/x",
        "/diaries/",
        "/diaries/1/",
        "/diaries/1/x",
        "/diaries//1",
        "/diaries/stats/",
        "/diariesx",
        "/health/",
        "/Health",
        "/health/x",
        "/docs/",
        "/docs/../health/x",
        "/%",
        "/%00",
        "/%ff",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/diaries%2f1",
        "/auth%2flogin",
        "/health%20",
        "/.env",
        "/analyze",
        "/sentiment",
        "/sentiment/analyze",
        "/internal",
        "/é",
        "/😀",
        "/a;b=c",
        "/index.html",
    ];
    let body = json!({"content": "A text that is long enough."});
    for path in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let response = user.request(method, path).json(&body).send().await;
            response.expect_error(404, "not_found");
        }
    }
}

#[apply(e2e_test!)]
async fn responds_405_with_allow_to_an_unknown_method(env: &TestEnv) {
    let user = env.user().await;
    let routes = [
        ("/auth/register", "POST"),
        ("/auth/login", "POST"),
        ("/auth/refresh", "POST"),
        ("/auth/logout", "POST"),
        ("/auth/logout-all", "POST"),
        ("/auth/sessions", "GET, HEAD"),
        ("/auth/sessions/1", "DELETE"),
        ("/auth/password", "PUT"),
        ("/auth/me", "GET, HEAD, DELETE"),
        ("/auth/me/export", "GET, HEAD"),
        ("/diaries", "GET, HEAD, POST"),
        ("/diaries/import", "POST"),
        ("/diaries/stats", "GET, HEAD"),
        ("/diaries/1", "GET, HEAD, PUT, DELETE"),
        ("/diaries/1/analyze", "POST"),
        ("/internal/sweep", "POST"),
        ("/health", "GET, HEAD"),
        ("/ready", "GET, HEAD"),
        ("/version", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
    ];
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "PROPFIND",
    ];
    for (path, allowed) in routes {
        // A proxy refuses the routes of operators with 404.
        if env.is_elsewhere() && path.starts_with("/internal/") {
            continue;
        }
        let is_unknown = |method: &&str| !allowed.split(", ").any(|other| other == *method);
        for method in methods.into_iter().filter(is_unknown) {
            let method: Method = method.parse().expect("a valid token");
            let response = user.request(method.clone(), path).send().await;
            let response = response.expect_status(405);
            if method != Method::HEAD {
                assert_eq!(response.error_code(), "method_not_allowed");
            }
            let expected = format!("{allowed}, OPTIONS");
            assert_eq!(
                response.header("allow"),
                Some(&*expected),
                "{method} {path}"
            );
        }
    }
}

/// The pattern alone decides which methods a path supports. Its parameter is parsed later.
#[apply(e2e_test!)]
async fn responds_405_to_an_unknown_method_with_an_unknown_parameter(env: &TestEnv) {
    let user = env.user().await;
    for (path, allow) in [
        ("/docs/x", "GET, HEAD, OPTIONS"),
        ("/diaries/abc", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ] {
        let response = user.get(path).await;
        response.expect_error(404, "not_found");
        let response = user.request(Method::POST, path).send().await;
        let response = response.expect_error(405, "method_not_allowed");
        assert_eq!(response.header("allow"), Some(allow), "{path}");
    }
}

#[apply(e2e_test!)]
async fn responds_404_to_an_unknown_method_on_an_unknown_path(env: &TestEnv) {
    let anonymous = env.anonymous();
    let method = Method::from_bytes(b"BREW").expect("a valid token");
    for path in ["/x", "/auth/x", "/diaries/1/x"] {
        let response = anonymous.request(method.clone(), path).send().await;
        response.expect_error(404, "not_found");
    }
}

#[apply(e2e_test!)]
async fn responds_404_to_an_id_that_no_entry_can_have(env: &TestEnv) {
    let user = env.user().await;
    let ids = [
        "0",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "0x1",
        "abc",
        "2147483648",
        "9223372036854775808",
        &"9".repeat(500),
        "1%20",
        "%31",
        "1;2",
        "1,2",
        "null",
        "'%20or%201=1%20--",
        "%27%20or%201=1",
        "١",
        "１",
        "1%00",
        "*",
    ];
    let body = json!({"content": "A text that is long enough."});
    for id in ids {
        let path = format!("/diaries/{id}");
        for response in [
            user.get(&path).await,
            user.put(&path, &body).await,
            user.delete(&path).await,
        ] {
            response.expect_error(404, "not_found");
        }
    }
}

#[apply(e2e_test!)]
async fn accepts_8000_bytes_in_paths_queries_and_headers(env: &TestEnv) {
    let user = env.user().await;
    let long = "x".repeat(8000);
    for path in [format!("/{long}"), format!("/diaries/{long}")] {
        user.get(&path).await.expect_error(404, "not_found");
    }
    let response = user.get(&format!("/diaries?x={long}")).await;
    response.expect_status(200);
    let response = user.get(&format!("/diaries?page={long}")).await;
    response.expect_invalid(&["page"]);
    for name in [
        "x-long",
        "x-request-id",
        "x-forwarded-proto",
        "cookie",
        "origin",
        "accept",
    ] {
        let request = user.request(Method::GET, "/auth/me");
        let response = request.header(name, &long).send().await;
        response.expect_status(200);
    }
}

#[apply(e2e_test!)]
async fn accepts_80_headers(env: &TestEnv) {
    let user = env.user().await;
    let mut request = user.request(Method::GET, "/auth/me");
    for number in 0..80 {
        request = request.header(&format!("x-{number}"), "x");
    }
    request.send().await.expect_status(200);
}

/// The peer's address counts instead.
#[apply(e2e_test!)]
async fn ignores_an_invalid_forwarded_address(env: &TestEnv) {
    let client = env.misbehaving_model().await.anonymous();
    let credentials = json!({"email": unique_email(), "password": PASSWORD});
    let request = client.request(Method::POST, "/auth/login");
    let request = request.from(&"x".repeat(8000)).json(&credentials);
    let response = request.send().await;
    response.expect_error(401, "invalid_credentials");
}

#[apply(e2e_test!)]
async fn never_reaches_a_private_component(env: &TestEnv) {
    let anonymous = env.anonymous();
    let text = "A lovely text that is long enough.";
    let body = json!({"text": text, "content": text});
    for path in [
        "/analyze",
        "/sentiment",
        "/sentiment/analyze",
        "//sentiment.spin.internal/analyze",
        "/hash",
        "/verify",
        "/hashing/verify",
        "//hashing.spin.internal/verify",
    ] {
        let response = anonymous.post(path, &body).await;
        response.expect_error(404, "not_found");
    }
    for header in [
        "spin-component-route",
        "spin-raw-component-route",
        "spin-matched-route",
    ] {
        let request = anonymous.request(Method::POST, "/analyze");
        let request = request.header(header, "/sentiment").json(&body);
        request.send().await.expect_error(404, "not_found");
    }
    let body = body.to_string();
    let length = body.len();
    for (target, host, expected) in [
        // The runtime accepts no such `Host` from outside and closes the connection.
        ("/analyze", "sentiment.spin.internal", &[][..]),
        ("/analyze", "sentiment.spin.internal:80", &[]),
        ("/verify", "hashing.spin.internal", &[]),
        (
            "http://sentiment.spin.internal/analyze",
            "sentiment.spin.internal",
            &[404],
        ),
    ] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let responses = exchange(&env.shared.service, request).await;
        assert_eq!(statuses(&responses), expected, "{target} at {host}");
    }
}
