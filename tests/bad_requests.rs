//! Methods, paths, queries, headers and connections that are wrong.

use http::Method;
use serde_json::json;

use crate::client::{PASSWORD, fresh_email};
use crate::stage::Stage;

tests![
    unknown_paths_are_not_found,
    unknown_methods_are_not_allowed_and_told_which_are,
    unknown_methods_on_unknown_paths_are_not_found,
    ids_that_no_entry_can_have_are_not_found,
    pages_that_make_no_sense_are_refused_by_name,
    odd_queries_change_nothing,
    long_paths_queries_and_headers_are_borne,
];

async fn unknown_paths_are_not_found(stage: &Stage) {
    let user = stage.shared.service.user().await;
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
        "/docs/x",
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
    for path in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let call = user
                .call(method, path)
                .json(&json!({"content": "A text that is long enough."}));
            call.send().await.expect_error(404, "not_found");
        }
    }
}

async fn unknown_methods_are_not_allowed_and_told_which_are(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let routes = [
        ("/auth/register", "POST"),
        ("/auth/login", "POST"),
        ("/auth/refresh", "POST"),
        ("/auth/logout", "POST"),
        ("/auth/me", "GET, HEAD"),
        ("/diaries", "GET, HEAD, POST"),
        ("/diaries/stats", "GET, HEAD"),
        ("/diaries/1", "GET, HEAD, PUT, DELETE"),
        ("/health", "GET, HEAD"),
        ("/ready", "GET, HEAD"),
        ("/version", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
    ];
    for (path, allowed) in routes {
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "PROPFIND",
        ] {
            if allowed.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let method: Method = method.parse().expect("a token");
            let answer = user.call(method.clone(), path).send().await.expect(405);
            if method != Method::HEAD {
                assert_eq!(answer.code(), "method_not_allowed");
            }
            assert_eq!(
                answer.header("allow"),
                Some(format!("{allowed}, OPTIONS").as_str()),
                "{method} {path}"
            );
        }
    }
}

async fn unknown_methods_on_unknown_paths_are_not_found(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for path in ["/x", "/auth/x", "/diaries/abc", "/diaries/1/x"] {
        let answer = anonymous
            .call("BREW".parse().expect("a token"), path)
            .send()
            .await;
        answer.expect_error(404, "not_found");
    }
}

async fn ids_that_no_entry_can_have_are_not_found(stage: &Stage) {
    let user = stage.shared.service.user().await;
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
        "' or 1=1 --",
        "%27%20or%201=1",
        "١",
        "１",
        "1%00",
        "..",
        "*",
    ];
    for id in ids {
        if id == ".." {
            continue;
        }
        let path = format!("/diaries/{}", id.replace(' ', "%20"));
        user.get(&path).await.expect_error(404, "not_found");
        user.put(&path, &json!({"content": "A text that is long enough."}))
            .await
            .expect_error(404, "not_found");
        user.delete(&path).await.expect_error(404, "not_found");
    }
    user.get("/diaries/2147483647")
        .await
        .expect_error(404, "not_found");
}

async fn pages_that_make_no_sense_are_refused_by_name(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let digits = "9".repeat(100);
    for value in [
        "0",
        "-1",
        "",
        "1.5",
        "ten",
        "1e1",
        "9223372036854775808",
        &digits,
        "%00",
        "%FF",
        "1%20",
        "1;2",
        "null",
        "١",
    ] {
        user.get(&format!("/diaries?page={value}"))
            .await
            .expect_invalid("page");
        user.get(&format!("/diaries?per_page={value}"))
            .await
            .expect_invalid("per_page");
    }
    user.get("/diaries?per_page=101")
        .await
        .expect_invalid("per_page");
    user.get("/diaries?page=1&page=2")
        .await
        .expect_invalid("page");
    user.get("/diaries?page=0&per_page=0")
        .await
        .expect_invalid("page")
        .expect_invalid("per_page");
    user.get("/diaries?per_page=100&page=1000000000")
        .await
        .expect(200);
}

async fn odd_queries_change_nothing(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for query in [
        "?",
        "?&&&",
        "?=",
        "?x",
        "?x=y",
        "?Page=0",
        "?page[]=0",
        "?%70age=1",
        "?x=%FF%00",
        "?page=1#fragment",
        "?sort=id'--",
    ] {
        let body = user
            .get(&format!("/diaries{query}"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&body["page"], &body["per_page"]),
            (&json!(1), &json!(10)),
            "{query}"
        );
    }
    user.get("/health?x=1").await.expect(200);
}

async fn long_paths_queries_and_headers_are_borne(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let long = "x".repeat(8000);
    user.get(&format!("/{long}"))
        .await
        .expect_error(404, "not_found");
    user.get(&format!("/diaries/{long}"))
        .await
        .expect_error(404, "not_found");
    user.get(&format!("/diaries?x={long}")).await.expect(200);
    user.get(&format!("/diaries?page={long}"))
        .await
        .expect_invalid("page");
    for name in [
        "x-long",
        "x-request-id",
        "x-forwarded-proto",
        "cookie",
        "origin",
        "accept",
    ] {
        user.call(Method::GET, "/auth/me")
            .header(name, &long)
            .send()
            .await
            .expect(200);
    }
    let many = (0..80).fold(user.call(Method::GET, "/auth/me"), |call, number| {
        call.header(&format!("x-{number}"), "x")
    });
    many.send().await.expect(200);
    // Nonsense is no address, so it is the peer's that counts.
    let anonymous = stage.moody().await.service.anonymous();
    let login = anonymous
        .call(Method::POST, "/auth/login")
        .header("x-forwarded-for", &long);
    let credentials = json!({"email": fresh_email(), "password": PASSWORD});
    login
        .json(&credentials)
        .send()
        .await
        .expect_error(401, "invalid_credentials");
}
