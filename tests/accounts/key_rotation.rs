//! The replacement of the key that signs tokens, while replicas restart one after the other.

use macro_rules_attribute::apply;

use crate::support::env::{JWT_KEY, TestEnv};
use crate::support::registry::e2e_test;

const NEW_KEY: &str = "another key for tests, longer than 32 bytes";

#[apply(e2e_test!)]
async fn logs_nobody_out(env: &TestEnv) {
    let steps = [
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
    let mut before = env.start_instance(&steps[0]).await;
    for step in &steps[1..] {
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
    let old = env.start_replica(&before, &steps[0]).await.user().await;
    let last = [("jwt_secret_key", NEW_KEY), ("jwt_previous_secret_key", "")];
    let last = env.start_replica(&before, &last).await;
    let response = old.on(&last.service).get("/auth/me").await;
    response.expect_error(401, "token_invalid");
}
