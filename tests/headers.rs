//! Request ids, transport security and caching. What every answer carries, the client checks everywhere.

use std::collections::BTreeSet;

use http::Method;

use crate::stage::Stage;

tests![
    a_sane_request_id_is_taken_over,
    other_request_ids_are_replaced,
    request_ids_made_here_differ,
    tls_by_a_trusted_proxy_is_made_strict,
    tls_by_hearsay_is_not_believed,
    static_pages_may_be_cached,
];

async fn a_sane_request_id_is_taken_over(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for id in [
        "a",
        "0192-abc_DEF.7:1",
        "6f1e4d3c-0000-4000-8000-000000000001",
        &"x".repeat(128),
    ] {
        for path in ["/health", "/auth/me", "/diaries", "/nowhere"] {
            let answer = anonymous
                .call(Method::GET, path)
                .header("x-request-id", id)
                .send()
                .await;
            assert_eq!(
                answer.header("x-request-id"),
                Some(id),
                "{}",
                answer.shown()
            );
        }
    }
}

async fn other_request_ids_are_replaced(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for id in [
        "",
        "a b",
        "a\"b",
        "<script>",
        "{\"level\":\"error\"}",
        "a\tb",
        "é",
        "%0a",
        &"x".repeat(129),
        &"x".repeat(5000),
    ] {
        let answer = anonymous
            .call(Method::GET, "/health")
            .header("x-request-id", id)
            .send()
            .await;
        let given = answer.header("x-request-id").expect("there is one");
        assert_ne!(given, id);
        assert!(
            given
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)),
            "{given}"
        );
    }
}

async fn request_ids_made_here_differ(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        let answer = anonymous.get("/health").await;
        ids.insert(
            answer
                .header("x-request-id")
                .expect("there is one")
                .to_owned(),
        );
    }
    assert_eq!(ids.len(), 20);
}

async fn tls_by_a_trusted_proxy_is_made_strict(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    let strict = |answer: &crate::client::Answer| {
        answer
            .header("strict-transport-security")
            .map(str::to_owned)
    };
    for path in ["/health", "/diaries", "/auth/me"] {
        let secure = anonymous
            .call(Method::GET, path)
            .header("x-forwarded-proto", "https")
            .send()
            .await;
        assert!(
            strict(&secure).is_some_and(|value| value.contains("max-age=")),
            "{}",
            secure.shown()
        );
        let plain = anonymous
            .call(Method::GET, path)
            .header("x-forwarded-proto", "http")
            .send()
            .await;
        assert_eq!(strict(&plain), None);
        assert_eq!(strict(&anonymous.get(path).await), None);
    }
}

async fn tls_by_hearsay_is_not_believed(stage: &Stage) {
    let direct = stage.second().await.service.anonymous();
    let call = direct
        .call(Method::GET, "/health")
        .header("x-forwarded-proto", "https");
    let answer = call
        .header("spin-full-url", "https://diary.example/health")
        .send()
        .await;
    assert_eq!(
        answer.header("strict-transport-security"),
        None,
        "it trusts no proxy"
    );
    let proxied = stage.shared.service.anonymous();
    let call = proxied
        .call(Method::GET, "/health")
        .header("spin-full-url", "https://diary.example/health");
    assert_eq!(call.send().await.header("strict-transport-security"), None);
}

async fn static_pages_may_be_cached(stage: &Stage) {
    let anonymous = stage.shared.service.anonymous();
    for path in ["/docs", "/openapi.json", "/docs/start.js"] {
        let answer = anonymous.get(path).await.expect(200);
        assert!(
            answer
                .header("cache-control")
                .is_some_and(|value| value.contains("max-age=")),
            "{}",
            answer.shown()
        );
    }
    let missing = anonymous.get("/docs/nothing.js").await.expect(404);
    assert_eq!(missing.header("cache-control"), Some("no-store"));
}
