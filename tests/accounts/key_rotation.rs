//! The replacement of the key that signs tokens, while replicas restart one after the other.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::Client;
use crate::support::env::{JWT_KEY, TestEnv};
use crate::support::registry::e2e_test;
use crate::support::response::Response;

const NEW_KEY: &str = "another key for tests, longer than 32 bytes";

/// The settings of the steps that the operator's guide names.
const STEPS: [[(&str, &str); 2]; 3] = [
    [("jwt_secret_key", JWT_KEY), ("jwt_previous_secret_key", "")],
    [
        ("jwt_secret_key", JWT_KEY),
        ("jwt_previous_secret_key", NEW_KEY),
    ],
    [
        ("jwt_secret_key", NEW_KEY),
        ("jwt_previous_secret_key", JWT_KEY),
    ],
];

async fn create(user: &Client, key: &str, content: &str) -> Response {
    let request = user.request(Method::POST, "/diaries");
    let request = request.header("idempotency-key", key);
    request.json(&json!({"content": content})).send().await
}

#[apply(e2e_test!)]
async fn keeps_idempotency_keys(env: &TestEnv) {
    const TEXT: &str = "A lovely walk to the lake.";
    let mut before = env.start_instance(&STEPS[0]).await;
    let user = before.user().await;
    let mut total = 0;
    for step in &STEPS[1..] {
        let after = env.start_replica(&before, step).await;
        // A retry may reach a replica that has restarted, and one that has not yet.
        for (first, second) in [(&before, &after), (&after, &before)] {
            total += 1;
            let key = format!("key-{total}");
            let [first, second] = [first, second].map(|instance| user.on(&instance.service));
            let entry = create(&first, &key, TEXT).await.expect_status(201);
            for user in [&second, &first] {
                let retried = create(user, &key, TEXT).await.expect_status(201);
                assert_eq!(retried.json(), entry.json());
                let other = create(user, &key, "Quite another text.").await;
                other.expect_error(422, "idempotency_key_reused");
            }
            assert_eq!(second.list("").await["total"], total);
        }
        before = after;
    }
}

#[apply(e2e_test!)]
async fn logs_nobody_out(env: &TestEnv) {
    let mut before = env.start_instance(&STEPS[0]).await;
    for step in &STEPS[1..] {
        let after = env.start_replica(&before, step).await;
        let users = [before.user().await, after.user().await];
        for user in &users {
            for instance in [&before, &after] {
                let user = user.on(&instance.service);
                user.get("/auth/me").await.expect_status(200);
                user.refresh().await.expect_status(200);
            }
        }
        before = after;
    }
    // Once the old key is gone, its tokens are invalid.
    let old = env.start_replica(&before, &STEPS[0]).await.user().await;
    let last = [("jwt_secret_key", NEW_KEY), ("jwt_previous_secret_key", "")];
    let last = env.start_replica(&before, &last).await;
    let response = old.on(&last.service).get("/auth/me").await;
    response.expect_error(401, "token_invalid");
}
