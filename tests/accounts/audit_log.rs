//! The log of what happened to accounts.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_email;

async fn actions(env: &TestEnv, user: &Client) -> Vec<String> {
    let statement = format!(
        "select action::text from audit_log where user_id = {} order by id",
        user.session().user_id
    );
    env.shared.database().await.column(&statement).await
}

#[apply(e2e_test!)]
async fn has_a_row_for_every_action(env: &TestEnv) {
    let user = env.user().await;
    let email = &user.session().email;
    user.log_in(email, PASSWORD).await.log_out().await;
    let other = user.log_in(email, PASSWORD).await;
    let sessions = other.get("/auth/sessions").await.json();
    let current = sessions["items"][0]["id"].as_str().expect("an id");
    let path = format!("/auth/sessions/{current}");
    user.delete(&path).await.expect_status(204);
    let new_password = "Other1!password";
    let body = json!({"current_password": PASSWORD, "new_password": new_password});
    user.put("/auth/password", &body).await.expect_status(200);
    let request = user.request(Method::POST, "/auth/logout-all");
    request.send().await.expect_status(200);
    let user = user.log_in(email, new_password).await;
    let request = user.request(Method::DELETE, "/auth/me");
    let deleted = request
        .json(&json!({"password": new_password}))
        .send()
        .await;
    deleted.expect_status(204);
    let expected = [
        "account_created",
        "logged_in",
        "logged_in",
        "logged_out",
        "logged_in",
        "session_ended",
        "password_changed",
        "all_sessions_ended",
        "logged_in",
        "account_deleted",
    ];
    assert_eq!(actions(env, &user).await, expected);
}

#[apply(e2e_test!)]
async fn has_no_row_for_another_action_that_failed(env: &TestEnv) {
    // Clients of other tests have the address of the proxy, too, and may have delayed its logins.
    env.without_proxy();
    let user = env.user().await;
    let email = &user.session().email;
    let exists = user.anonymous().register(email, PASSWORD).await;
    exists.expect_error(400, "user_exists");
    let wrong = user.anonymous().try_log_in(email, "Wr0ng!password").await;
    wrong.expect_error(401, "invalid_credentials");
    user.log_out().await.expect_status(200);
    user.log_out().await.expect_error(401, "token_revoked");
    let expected = ["account_created", "logged_in", "login_failed", "logged_out"];
    assert_eq!(actions(env, &user).await, expected);
}

/// Attempts during a delay are not counted, so that nobody can fill the log.
#[apply(e2e_test!)]
async fn has_a_row_for_each_wrong_password_that_counts(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let email = &user.session().email;
    for _ in 0..7 {
        let wrong = user.anonymous().try_log_in(email, "Wr0ng!password").await;
        wrong.expect_error(401, "invalid_credentials");
    }
    let mut expected = vec!["account_created", "logged_in"];
    expected.extend(["login_failed"; 5]);
    assert_eq!(actions(env, &user).await, expected);
}

/// Rows would reveal an email that somebody has mistyped, and anyone could fill the log.
#[apply(e2e_test!)]
async fn has_no_row_for_an_email_without_an_account(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let email = unique_email();
    let unknown = instance.anonymous().try_log_in(&email, PASSWORD).await;
    unknown.expect_error(401, "invalid_credentials");
    let rows = "select count(*) from audit_log";
    let rows: i64 = instance.database().await.value(rows, &[]).await;
    assert_eq!(rows, 0);
}

#[apply(e2e_test!)]
async fn is_append_only_for_a_year(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = crate::support::database::Database::connect(&url).await;
    database
        .batch(
            "insert into audit_log (created_at, user_id, action) values
                (now() at time zone 'utc' - interval '366 days', 1, 'logged_in'),
                (now() at time zone 'utc' - interval '364 days', 2, 'logged_in')",
        )
        .await;
    for statement in [
        "update audit_log set user_id = 3",
        "delete from audit_log",
        "truncate audit_log",
    ] {
        assert_eq!(database.sqlstate(statement).await, "23000", "{statement}");
    }
    let deleted: i64 = database
        .value("select delete_expired_audit_log()", &[])
        .await;
    assert_eq!(deleted, 1);
    let left: Vec<i32> = database.column("select user_id from audit_log").await;
    assert_eq!(left, [2]);
}
