//! `GET /docs`: a page that needs nothing but this service.

use macro_rules_attribute::apply;

use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn loads_nothing_from_elsewhere(env: &TestEnv) {
    let anonymous = env.anonymous();
    let response = anonymous.get("/docs").await.expect_status(200);
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("text/html; charset=utf-8"));
    let page = response.text();
    for forbidden in ["http://", "https://", "//cdn", "<script>", "onload="] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    let files = linked_files(&page);
    assert_eq!(
        files,
        [
            "/docs/swagger-ui-bundle.js",
            "/docs/start.js",
            "/docs/swagger-ui.css"
        ]
    );
    for file in &files {
        let response = anonymous.get(file).await.expect_status(200);
        let expected = if file.ends_with(".css") {
            "text/css; charset=utf-8"
        } else {
            "text/javascript; charset=utf-8"
        };
        assert_eq!(response.header("content-type"), Some(expected), "{file}");
        assert!(response.body.len() > 100, "{file} is empty");
    }
    let start = anonymous.get("/docs/start.js").await.expect_status(200);
    assert!(start.text().contains("openapi.json"), "{}", start.dump());
}

/// Returns the files that `src` and `href` refer to.
fn linked_files(page: &str) -> Vec<String> {
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

#[apply(e2e_test!)]
async fn may_be_cached_like_all_static_files(env: &TestEnv) {
    let anonymous = env.anonymous();
    for path in ["/docs", "/openapi.json", "/docs/start.js"] {
        let response = anonymous.get(path).await.expect_status(200);
        let cache_control = response.header("cache-control");
        assert_eq!(cache_control, Some("public, max-age=3600"), "{path}");
    }
    let missing = anonymous.get("/docs/nothing.js").await;
    let missing = missing.expect_error(404, "not_found");
    assert_eq!(missing.header("cache-control"), Some("no-store"));
}
