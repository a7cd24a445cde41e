//! Request ids and `Strict-Transport-Security`. `support::invariants` checks the headers of every response.

use std::collections::BTreeSet;

use http::Method;
use macro_rules_attribute::apply;

use crate::support::client::Client;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::request::Request;
use crate::support::response::Response;

const STRICT: &str = "max-age=31536000; includeSubDomains";

fn get_health(client: &Client) -> Request {
    client.request(Method::GET, "/health")
}

#[track_caller]
fn request_id(response: &Response) -> &str {
    response.header("x-request-id").expect("a request id")
}

#[track_caller]
fn assert_not_strict(response: &Response) {
    let header = response.header("strict-transport-security");
    assert_eq!(header, None, "{}", response.dump());
}

#[apply(e2e_test!)]
async fn keep_a_valid_request_id(env: &TestEnv) {
    let anonymous = env.anonymous();
    for id in [
        "a",
        "0192-abc_DEF.7:1",
        "6f1e4d3c-0000-4000-8000-000000000001",
        &"x".repeat(128),
    ] {
        for path in ["/health", "/auth/me", "/diaries", "/nowhere"] {
            let request = anonymous.request(Method::GET, path);
            let response = request.header("x-request-id", id).send().await;
            assert_eq!(request_id(&response), id);
        }
    }
}

#[apply(e2e_test!)]
async fn replace_an_invalid_request_id(env: &TestEnv) {
    let anonymous = env.anonymous();
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
        let request = get_health(&anonymous).header("x-request-id", id);
        let response = request.send().await;
        let new_id = request_id(&response);
        assert_ne!(new_id, id);
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        assert!(new_id.bytes().all(is_valid), "{new_id}");
    }
}

#[apply(e2e_test!)]
async fn have_a_different_request_id_each_time(env: &TestEnv) {
    let anonymous = env.anonymous();
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        let response = get_health(&anonymous).send().await;
        ids.insert(request_id(&response).to_owned());
    }
    assert_eq!(ids.len(), 20);
}

#[apply(e2e_test!)]
async fn are_strict_when_a_trusted_proxy_received_tls(env: &TestEnv) {
    env.without_proxy();
    let anonymous = env.anonymous();
    for path in ["/health", "/diaries", "/auth/me"] {
        let request = || anonymous.request(Method::GET, path);
        let secure = request().header("x-forwarded-proto", "https");
        let secure = secure.send().await;
        let header = secure.header("strict-transport-security");
        assert_eq!(header, Some(STRICT), "{path}");
        let plain = request().header("x-forwarded-proto", "http");
        assert_not_strict(&plain.send().await);
        assert_not_strict(&request().send().await);
    }
}

#[apply(e2e_test!)]
async fn are_not_strict_because_a_client_claims_tls(env: &TestEnv) {
    let full_url = ("spin-full-url", "https://diary.example/health");
    // This instance trusts no proxy.
    let direct = env.second_instance().await.anonymous();
    let request = get_health(&direct)
        .header("x-forwarded-proto", "https")
        .header(full_url.0, full_url.1);
    assert_not_strict(&request.send().await);
    let request = get_health(&env.anonymous()).header(full_url.0, full_url.1);
    assert_not_strict(&request.send().await);
}
