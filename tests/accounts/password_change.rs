//! `PUT /auth/password`.

use futures::future::join_all;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;

const NEW_PASSWORD: &str = "Other1!password";

async fn change(user: &Client, current: &str, new: &str) -> Response {
    let body = json!({"current_password": current, "new_password": new});
    user.put("/auth/password", &body).await
}

#[apply(e2e_test!)]
async fn replaces_the_password_and_ends_other_sessions(env: &TestEnv) {
    let phone = env.user().await;
    let email = &phone.session().email;
    let laptop = phone.log_in(email, PASSWORD).await;
    let changed = change(&phone, PASSWORD, NEW_PASSWORD).await;
    changed.expect_status(200);
    phone.get("/auth/me").await.expect_status(200);
    phone.refresh().await.expect_status(200);
    for response in [laptop.get("/auth/me").await, laptop.refresh().await] {
        response.expect_error(401, "token_revoked");
    }
    let old = phone.anonymous().try_log_in(email, PASSWORD).await;
    old.expect_error(401, "invalid_credentials");
    phone.log_in(email, NEW_PASSWORD).await;
}

#[apply(e2e_test!)]
async fn requires_the_current_password(env: &TestEnv) {
    let user = env.user().await;
    let wrong = change(&user, NEW_PASSWORD, NEW_PASSWORD).await;
    wrong.expect_error(401, "invalid_credentials");
    user.log_in(&user.session().email, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn applies_the_rules_for_new_passwords_to_the_new_one_only(env: &TestEnv) {
    let user = env.user().await;
    for weak in ["short", "P@ssw0rd", &format!("Aa1!{}", "x".repeat(253))] {
        let response = change(&user, "x", weak).await;
        response.expect_invalid(&["new_password"]);
    }
    let empty = user.put("/auth/password", &json!({})).await;
    empty.expect_invalid(&["current_password", "new_password"]);
}

#[apply(e2e_test!)]
async fn limits_attempts_like_logins(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    for _ in 0..5 {
        let wrong = change(&user, NEW_PASSWORD, NEW_PASSWORD).await;
        wrong.expect_error(401, "invalid_credentials");
    }
    let limited = change(&user, PASSWORD, NEW_PASSWORD).await;
    limited.expect_error(429, "rate_limit_exceeded");
    // From another address, the five wrong passwords delay the user.
    let mut moved = user.clone();
    moved.address = user.anonymous().address;
    let delayed = change(&moved, PASSWORD, NEW_PASSWORD).await;
    delayed.expect_error(401, "invalid_credentials");
    // Logins are counted separately.
    user.log_in(&user.session().email, PASSWORD).await;
}

/// A login verifies the old password before the change and creates its session after it.
#[apply(e2e_test!)]
async fn ends_concurrent_logins_with_the_old_password(env: &TestEnv) {
    for _ in 0..3 {
        let user = env.user().await;
        let clients = [(); 6].map(|()| user.anonymous());
        let logins = clients
            .iter()
            .map(|client| client.try_log_in(&user.session().email, PASSWORD));
        let (logins, changed) =
            tokio::join!(join_all(logins), change(&user, PASSWORD, NEW_PASSWORD));
        changed.expect_status(200);
        for login in logins {
            if login.status == 401 {
                login.expect_error(401, "invalid_credentials");
                continue;
            }
            let token = login.expect_status(200).json();
            let token = token["access_token"].as_str().expect("a token");
            let request = user.request(http::Method::GET, "/auth/me");
            let me = request.bearer(token).send().await;
            me.expect_error(401, "token_revoked");
        }
    }
}
