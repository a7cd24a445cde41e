//! `POST /auth/refresh`, `POST /auth/logout` and `GET /auth/me`: what a session allows, and until when.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{Client, PASSWORD, entry_path};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn me_returns_the_account(env: &TestEnv) {
    let user = env.user().await;
    let body = user.get("/auth/me").await.expect_status(200).json();
    assert_eq!(body["id"], user.session().user_id);
    assert_eq!(body["email"], user.session().email);
}

#[apply(e2e_test!)]
async fn refresh_returns_an_access_token_and_keeps_the_refresh_token(env: &TestEnv) {
    let user = env.user().await;
    for _ in 0..2 {
        let body = user.refresh().await.expect_status(200).json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        let token = body["access_token"].as_str().expect("a token");
        let request = user.request(Method::GET, "/auth/me").bearer(token);
        let me = request.send().await.expect_status(200).json();
        assert_eq!(me["id"], user.session().user_id);
    }
    user.get("/auth/me").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn logout_revokes_both_tokens_everywhere(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("An entry to read later.").await;
    let path = entry_path(&entry);
    user.log_out().await.expect_status(200);
    for path in ["/auth/me", "/diaries", "/diaries/stats", &path] {
        user.get(path).await.expect_error(401, "token_revoked");
    }
    let body = json!({"content": "This must not be stored."});
    let create = user.post("/diaries", &body).await;
    create.expect_error(401, "token_revoked");
    let update = user.put(&path, &body).await;
    update.expect_error(401, "token_revoked");
    user.delete(&path).await.expect_error(401, "token_revoked");
    user.refresh().await.expect_error(401, "token_revoked");
    let again = user.log_in(&user.session().email, PASSWORD).await;
    assert_eq!(again.list("").await["items"], json!([entry]));
}

#[apply(e2e_test!)]
async fn logout_revokes_refreshed_tokens(env: &TestEnv) {
    let user = env.user().await;
    let body = user.refresh().await.expect_status(200).json();
    let token = body["access_token"].as_str().expect("a token");
    user.log_out().await.expect_status(200);
    let request = user.request(Method::GET, "/auth/me").bearer(token);
    request.send().await.expect_error(401, "token_revoked");
}

#[apply(e2e_test!)]
async fn logout_keeps_other_sessions(env: &TestEnv) {
    let phone = env.user().await;
    let laptop = phone.log_in(&phone.session().email, PASSWORD).await;
    phone.log_out().await.expect_status(200);
    laptop.get("/auth/me").await.expect_status(200);
    laptop.refresh().await.expect_status(200);
}

#[apply(e2e_test!)]
async fn rejects_a_second_logout(env: &TestEnv) {
    let user = env.user().await;
    user.log_out().await.expect_status(200);
    user.log_out().await.expect_error(401, "token_revoked");
}

#[apply(e2e_test!)]
async fn logout_takes_effect_on_another_instance_at_once(env: &TestEnv) {
    let here = env.user().await;
    let there = here.on(&env.second_instance().await.service);
    there.get("/auth/me").await.expect_status(200);
    there.get("/diaries").await.expect_status(200);
    here.log_out().await.expect_status(200);
    expect_revoked(&there).await;
}

#[apply(e2e_test!)]
async fn rejects_an_expired_session(env: &TestEnv) {
    let user = env.user().await;
    expire_sessions(env, &user).await;
    expect_revoked(&user).await;
}

async fn expect_revoked(user: &Client) {
    for path in ["/auth/me", "/diaries"] {
        user.get(path).await.expect_error(401, "token_revoked");
    }
    user.refresh().await.expect_error(401, "token_revoked");
}

async fn expire_sessions(env: &TestEnv, user: &Client) {
    let statement = "update sessions set expires_at = (now() at time zone 'utc') - interval '1 second' where user_id = $1";
    let database = env.shared.database().await;
    let id = user.session().user_id;
    assert_eq!(database.execute(statement, &[&id]).await, 1);
}

#[apply(e2e_test!)]
async fn login_deletes_expired_sessions(env: &TestEnv) {
    let user = env.user().await;
    expire_sessions(env, &user).await;
    let again = user.log_in(&user.session().email, PASSWORD).await;
    let database = env.shared.database().await;
    let count = "select count(*) from sessions where user_id = $1";
    let id = user.session().user_id;
    assert_eq!(database.value::<i64>(count, &[&id]).await, 1);
    again.get("/auth/me").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn deleting_a_user_deletes_sessions_and_entries(env: &TestEnv) {
    let user = env.user().await;
    let id = user.session().user_id;
    user.create_entry("An entry that is deleted with its user.")
        .await;
    let database = env.shared.database().await;
    let delete = "delete from users where id = $1";
    assert_eq!(database.execute(delete, &[&id]).await, 1);
    expect_revoked(&user).await;
    let count = "
        select (select count(*) from thought_diaries where user_id = $1)
            + (select count(*) from user_stats where user_id = $1)
            + (select count(*) from sessions where user_id = $1)";
    assert_eq!(database.value::<i64>(count, &[&id]).await, 0);
}
