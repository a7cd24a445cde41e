//! `/health`, `/ready`, `/version`, `/openapi.json`, `/docs`, and what is not to be found.

use http::Method;
use serde_json::{Value, json};

use crate::client::Caller;
use crate::raw::exchange;
use crate::stage::Stage;

tests![
    health_tells_the_time,
    ready_checks_both_servers,
    version_is_that_of_the_contract,
    head_answers_as_get_without_a_body,
    the_document_is_openapi_and_names_every_route,
    every_documented_call_exists,
    the_docs_page_needs_nothing_from_elsewhere,
    the_sentiment_component_is_not_reachable_from_outside,
];

async fn health_tells_the_time(stage: &Stage) {
    let body = stage
        .shared
        .service
        .anonymous()
        .get("/health")
        .await
        .expect(200)
        .json();
    assert_eq!(body["status"], "healthy");
    let time: chrono::DateTime<chrono::Utc> = body["timestamp"]
        .as_str()
        .and_then(|time| time.parse().ok())
        .expect("a time");
    assert!(
        (chrono::Utc::now() - time).num_seconds().abs() < 5,
        "{body}"
    );
}

async fn ready_checks_both_servers(stage: &Stage) {
    let body = stage
        .shared
        .service
        .anonymous()
        .get("/ready")
        .await
        .expect(200)
        .json();
    assert_eq!(
        body,
        json!({"status": "ready", "checks": {"database": "ok", "redis": "ok"}, "analysis": {"waiting": 0}})
    );
}

async fn version_is_that_of_the_contract(stage: &Stage) {
    let body = stage
        .shared
        .service
        .anonymous()
        .get("/version")
        .await
        .expect(200)
        .json();
    assert_eq!(body, json!({"version": "0.1.0", "api_level": "v1"}));
}

async fn head_answers_as_get_without_a_body(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for path in [
        "/version",
        "/openapi.json",
        "/docs",
        "/auth/me",
        "/diaries",
        "/diaries/stats",
    ] {
        let get = user.get(path).await.expect(200);
        let head = user.call(Method::HEAD, path).send().await.expect(200);
        for name in [
            "content-length",
            "content-type",
            "cache-control",
            "content-security-policy",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    user.call(Method::HEAD, "/diaries/2147483647")
        .send()
        .await
        .expect(404);
    user.anonymous()
        .call(Method::HEAD, "/diaries")
        .send()
        .await
        .expect(401);
}

/// Every route but one, which `/diaries/{id}` would match as well.
const ROUTES: [(&str, &[&str]); 14] = [
    ("/health", &["get"]),
    ("/ready", &["get"]),
    ("/version", &["get"]),
    ("/openapi.json", &["get"]),
    ("/docs", &["get"]),
    ("/auth/register", &["post"]),
    ("/auth/login", &["post"]),
    ("/auth/refresh", &["post"]),
    ("/auth/logout", &["post"]),
    ("/auth/me", &["get"]),
    ("/diaries", &["get", "post"]),
    ("/diaries/{id}", &["get", "put", "delete"]),
    ("/diaries/{id}/analyze", &["post"]),
    ("/internal/sweep", &["post"]),
];

async fn the_document_is_openapi_and_names_every_route(stage: &Stage) {
    let answer = stage
        .shared
        .service
        .anonymous()
        .get("/openapi.json")
        .await
        .expect(200);
    let document = answer.json();
    assert_eq!(&document, stage.contract().document());
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1."))
    );
    assert_eq!(document["info"]["version"], "0.1.0");
    for (path, methods) in ROUTES
        .into_iter()
        .chain([("/diaries/stats", ["get"].as_slice())])
    {
        for method in methods {
            assert!(
                document["paths"][path][method].is_object(),
                "{method} {path} is not documented"
            );
        }
    }
    check_references(&document, &document);
    let policy = answer.header("cache-control");
    assert!(
        policy.is_some_and(|policy| policy.contains("max-age")),
        "a static page may be cached: {policy:?}"
    );
}

/// Every reference leads somewhere.
fn check_references(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(reference) = part["$ref"].as_str() {
                assert!(
                    document
                        .pointer(reference.trim_start_matches('#'))
                        .is_some(),
                    "{reference} leads nowhere"
                );
            }
            fields
                .values()
                .for_each(|field| check_references(document, field));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(document, item)),
        _ => {}
    }
}

/// The client checks each answer against the document, so that it only remains to make every call.
async fn every_documented_call_exists(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let document = stage.contract().document();
    let id = user.write("An entry for the documentation.").await["id"].to_string();
    let paths = document["paths"].as_object().expect("paths");
    let mut calls = 0;
    for (template, operations) in paths {
        for method in ["get", "post", "put"] {
            if operations.get(method).is_none() || template == "/auth/logout" {
                continue;
            }
            let path = template.replace("{id}", &id);
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = user
                .call(method.clone(), &path)
                .json(&json!({}))
                .send()
                .await;
            assert!(![404, 405].contains(&answer.status), "{}", answer.shown());
            calls += 1;
        }
    }
    assert!(calls >= ROUTES.len(), "{calls} calls");
}

async fn the_docs_page_needs_nothing_from_elsewhere(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    let answer = anonymous.get("/docs").await.expect(200);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html")),
        "{}",
        answer.shown()
    );
    let page = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("//cdn"),
        "{page}"
    );
    assert!(
        !page.contains("<script>") && !page.contains("onload="),
        "scripts are files: {page}"
    );
    let files = files_of(&page);
    assert!(
        files.iter().any(|file| file.ends_with(".js"))
            && files.iter().any(|file| file.ends_with(".css")),
        "{files:?}"
    );
    for file in files {
        check_file(&anonymous, &file).await;
    }
    let start = anonymous.get("/docs/start.js").await.expect(200);
    assert!(
        String::from_utf8_lossy(&start.body).contains("openapi.json"),
        "it shows our document"
    );
}

/// What `src` and `href` name, as seen from `/docs`.
fn files_of(page: &str) -> Vec<String> {
    let mut files = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap_or_default();
            if !file.starts_with("data:") {
                files.push(format!("/{}", file.trim_start_matches('/')));
            }
        }
    }
    files
}

async fn check_file(anonymous: &Caller, file: &str) {
    let answer = anonymous.get(file).await.expect(200);
    let kind = answer.header("content-type").unwrap_or_default();
    let expected = if file.ends_with(".css") {
        "text/css"
    } else {
        "text/javascript"
    };
    assert!(kind.starts_with(expected), "{file}: {kind}");
    assert!(answer.body.len() > 100, "{file} is empty");
}

async fn the_sentiment_component_is_not_reachable_from_outside(stage: &Stage) {
    let service = &stage.shared.service;
    let text = json!({"text": "A lovely text that is long enough.", "content": "A lovely text that is long enough."});
    for path in [
        "/analyze",
        "/sentiment",
        "/sentiment/analyze",
        "//sentiment.spin.internal/analyze",
    ] {
        service
            .anonymous()
            .post(path, &text)
            .await
            .expect_error(404, "not_found");
    }
    let body = text.to_string();
    let length = body.len();
    for (target, host) in [
        ("/analyze", "sentiment.spin.internal"),
        ("/analyze", "sentiment.spin.internal:80"),
        (
            "http://sentiment.spin.internal/analyze",
            "sentiment.spin.internal",
        ),
    ] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        // Spin takes no such host from outside and may close the connection without a word.
        for answer in exchange(service, head + &body).await {
            answer.expect_error(404, "not_found");
        }
    }
    for header in [
        "spin-component-route",
        "spin-raw-component-route",
        "spin-matched-route",
    ] {
        let call = service
            .anonymous()
            .call(Method::POST, "/analyze")
            .header(header, "/sentiment");
        call.json(&text).send().await.expect_error(404, "not_found");
    }
}
