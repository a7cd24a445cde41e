//! `GET /auth/sessions`, `DELETE /auth/sessions/{id}` and `POST /auth/logout-all`.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, PASSWORD, items};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

async fn sessions(user: &Client) -> Vec<Value> {
    let response = user.get("/auth/sessions").await.expect_status(200);
    items(&response.json()).to_vec()
}

/// Returns the path of the user's only other session.
async fn other_session_path(user: &Client) -> String {
    let sessions = sessions(user).await;
    let others: Vec<&Value> = sessions.iter().filter(|s| s["current"] == false).collect();
    assert_eq!(others.len(), 1, "{sessions:?}");
    session_path(others[0])
}

fn session_path(session: &Value) -> String {
    let id = session["id"].as_str().expect("the id is a string");
    format!("/auth/sessions/{id}")
}

/// Logs a user in with a `User-Agent` header.
async fn log_in_with_agent(user: &Client, agent: &str) {
    let request = user.anonymous().request(Method::POST, "/auth/login");
    let body = json!({"email": user.session().email, "password": PASSWORD});
    let request = request.header("user-agent", agent).json(&body);
    request.send().await.expect_status(200);
}

#[apply(e2e_test!)]
async fn lists_active_sessions_the_last_used_one_first(env: &TestEnv) {
    let phone = env.user().await;
    let laptop = phone.log_in(&phone.session().email, PASSWORD).await;
    let current = |sessions: Vec<Value>| {
        let current = sessions.iter().map(|session| session["current"] == true);
        current.collect::<Vec<_>>()
    };
    assert_eq!(current(sessions(&phone).await), [false, true]);
    assert_eq!(current(sessions(&laptop).await), [true, false]);
    phone.refresh().await.expect_status(200);
    let listed = sessions(&phone).await;
    assert!(listed[0]["last_used_at"].as_str() > listed[0]["created_at"].as_str());
    assert_eq!(listed[1]["last_used_at"], listed[1]["created_at"]);
    assert_eq!(current(listed), [true, false]);
}

#[apply(e2e_test!)]
async fn shows_the_first_200_characters_of_the_user_agent(env: &TestEnv) {
    let user = env.user().await;
    log_in_with_agent(&user, &"a".repeat(201)).await;
    let listed = sessions(&user).await;
    assert_eq!(listed[0]["user_agent"], "a".repeat(200));
    assert_eq!(listed[1]["user_agent"], Value::Null);
}

#[apply(e2e_test!)]
async fn ends_one_session(env: &TestEnv) {
    let phone = env.user().await;
    let laptop = phone.log_in(&phone.session().email, PASSWORD).await;
    let path = other_session_path(&phone).await;
    phone.delete(&path).await.expect_status(204);
    for response in [laptop.get("/auth/me").await, laptop.refresh().await] {
        response.expect_error(401, "token_revoked");
    }
    phone.delete(&path).await.expect_error(404, "not_found");
    assert_eq!(sessions(&phone).await.len(), 1);
}

#[apply(e2e_test!)]
async fn does_not_end_sessions_of_other_users(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let path = session_path(&sessions(&bob).await[0]);
    ann.delete(&path).await.expect_error(404, "not_found");
    bob.get("/auth/me").await.expect_status(200);
    let unknown = "/auth/sessions/00000000-0000-4000-8000-000000000000";
    for path in [unknown, "/auth/sessions/1"] {
        ann.delete(path).await.expect_error(404, "not_found");
    }
}

#[apply(e2e_test!)]
async fn ends_all_sessions_of_the_user_only(env: &TestEnv) {
    let (phone, other) = (env.user().await, env.user().await);
    let laptop = phone.log_in(&phone.session().email, PASSWORD).await;
    let log_out_all = async || {
        let request = phone.request(Method::POST, "/auth/logout-all");
        request.send().await
    };
    log_out_all().await.expect_status(200);
    for client in [&phone, &laptop] {
        let response = client.get("/auth/sessions").await;
        response.expect_error(401, "token_revoked");
        client.refresh().await.expect_error(401, "token_revoked");
    }
    log_out_all().await.expect_error(401, "token_revoked");
    other.get("/auth/me").await.expect_status(200);
}
