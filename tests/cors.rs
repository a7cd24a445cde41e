//! Which pages of other origins may call the service.

use http::Method;
use serde_json::json;

use crate::client::{Answer, fresh_email};
use crate::stage::Stage;

tests![
    a_preflight_is_answered_before_authentication,
    a_preflight_of_another_origin_gets_no_cors_header,
    a_listed_origin_may_read_answers_and_failures,
    other_origins_get_no_cors_header,
    an_origin_is_compared_exactly,
    two_origins_are_none,
    each_of_several_origins_is_echoed,
    options_without_an_origin_is_answered,
];

/// The default of `cors_origins`.
const LISTED: &str = "http://localhost:5173";

#[track_caller]
fn check_allowed(answer: &Answer, origin: &str) {
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some(origin),
        "{}",
        answer.shown()
    );
    assert_eq!(
        answer.header("access-control-allow-credentials"),
        Some("true"),
        "{}",
        answer.shown()
    );
    assert_eq!(
        answer.header("vary").map(str::to_lowercase).as_deref(),
        Some("origin")
    );
}

#[track_caller]
fn check_not_allowed(answer: &Answer) {
    let cors = answer
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(cors, None, "{}", answer.shown());
    assert_eq!(
        answer.header("vary").map(str::to_lowercase).as_deref(),
        Some("origin"),
        "a cache must tell origins apart"
    );
}

/// The values of a header that is a list, lower-cased.
#[track_caller]
fn listed(answer: &Answer, name: &str) -> Vec<String> {
    let value = answer
        .header(name)
        .unwrap_or_else(|| panic!("no {name}: {}", answer.shown()));
    value
        .split(',')
        .map(|item| item.trim().to_lowercase())
        .collect()
}

async fn a_preflight_is_answered_before_authentication(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for path in [
        "/auth/login",
        "/auth/me",
        "/diaries",
        "/diaries/1",
        "/diaries/stats",
        "/health",
        "/docs",
    ] {
        let call = anonymous
            .call(Method::OPTIONS, path)
            .header("origin", LISTED);
        let call = call.header("access-control-request-method", "PUT").header(
            "access-control-request-headers",
            "authorization,content-type",
        );
        let answer = call.send().await.expect(204);
        check_allowed(&answer, LISTED);
        assert_eq!(
            listed(&answer, "access-control-allow-methods"),
            ["get", "post", "put", "delete", "options"]
        );
        let headers = listed(&answer, "access-control-allow-headers");
        for name in ["content-type", "authorization"] {
            assert!(headers.iter().any(|header| header == name), "{headers:?}");
        }
    }
}

async fn a_preflight_of_another_origin_gets_no_cors_header(stage: &Stage) {
    let call = stage
        .shared
        .service
        .anonymous()
        .call(Method::OPTIONS, "/diaries");
    let call = call
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    check_not_allowed(&call.send().await.expect(204));
}

async fn a_listed_origin_may_read_answers_and_failures(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let login = user.anonymous();
    let calls = [
        (user.call(Method::GET, "/diaries"), 200),
        (
            user.call(Method::POST, "/diaries")
                .json(&json!({"content": "Written from a page of the app."})),
            201,
        ),
        (user.call(Method::POST, "/diaries").json(&json!({})), 400),
        (user.call(Method::DELETE, "/diaries/2147483647"), 404),
        (user.call(Method::PUT, "/health"), 405),
        (user.anonymous().call(Method::GET, "/diaries"), 401),
        (
            login
                .call(Method::POST, "/auth/login")
                .json(&json!({"email": fresh_email(), "password": "x"})),
            401,
        ),
        (login.call(Method::GET, "/nowhere"), 404),
    ];
    for (call, status) in calls {
        let answer = call.header("origin", LISTED).send().await.expect(status);
        check_allowed(&answer, LISTED);
        let exposed = listed(&answer, "access-control-expose-headers");
        for name in [
            "location",
            "retry-after",
            "x-request-id",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ] {
            assert!(
                exposed.iter().any(|header| header == name),
                "{name} is not in {exposed:?}"
            );
        }
    }
}

async fn other_origins_get_no_cors_header(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for origin in [
        "https://evil.example",
        "null",
        "",
        "*",
        "http://localhost",
        "http://localhost:5174",
        "file://",
    ] {
        let answer = user
            .call(Method::GET, "/diaries")
            .header("origin", origin)
            .send()
            .await;
        check_not_allowed(&answer.expect(200));
    }
}

async fn an_origin_is_compared_exactly(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for origin in [
        "http://localhost:5173/",
        "http://localhost:5173.evil.example",
        "https://localhost:5173",
        "HTTP://LOCALHOST:5173",
        "http://localhost:5173 ,https://evil.example",
        "http://evil.example/http://localhost:5173",
        "http://a.localhost:5173",
    ] {
        let answer = anonymous
            .call(Method::GET, "/health")
            .header("origin", origin)
            .send()
            .await;
        check_not_allowed(&answer);
    }
}

async fn two_origins_are_none(stage: &Stage) {
    let call = stage
        .shared
        .service
        .anonymous()
        .call(Method::GET, "/health");
    check_not_allowed(
        &call
            .header("origin", LISTED)
            .header("origin", "https://evil.example")
            .send()
            .await,
    );
}

async fn each_of_several_origins_is_echoed(stage: &Stage) {
    let anonymous = stage.second().await.service.anonymous();
    for origin in ["https://app.example", "https://other.example:8443"] {
        let answer = anonymous
            .call(Method::GET, "/health")
            .header("origin", origin)
            .send()
            .await;
        check_allowed(&answer, origin);
    }
    let answer = anonymous
        .call(Method::GET, "/health")
        .header("origin", LISTED)
        .send()
        .await;
    check_not_allowed(&answer);
}

async fn options_without_an_origin_is_answered(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for path in ["/diaries", "/auth/login", "/health"] {
        anonymous
            .call(Method::OPTIONS, path)
            .send()
            .await
            .expect(204);
    }
}
