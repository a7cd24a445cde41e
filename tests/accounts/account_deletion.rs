//! `DELETE /auth/me`.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, PASSWORD, entry_path};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;

async fn delete_account(user: &Client, body: &Value) -> Response {
    let request = user.request(Method::DELETE, "/auth/me");
    request.json(body).send().await
}

#[apply(e2e_test!)]
async fn deletes_everything_of_the_user_only(env: &TestEnv) {
    let (user, other) = (env.user().await, env.user().await);
    let entry = user.create_entry("A wonderful day to remember.").await;
    let kept = other.create_entry("A wonderful day to remember.").await;
    let response = delete_account(&user, &json!({"password": PASSWORD})).await;
    response.expect_status(204);

    for response in [user.get("/auth/me").await, user.refresh().await] {
        response.expect_error(401, "token_revoked");
    }
    let email = &user.session().email;
    let login = user.anonymous().try_log_in(email, PASSWORD).await;
    login.expect_error(401, "invalid_credentials");
    let read = other.get(&entry_path(&entry)).await;
    read.expect_error(404, "not_found");
    assert_eq!(other.list("").await["items"], json!([kept]));

    // Every table that has a column for the user, except the log of actions.
    let database = env.shared.database().await;
    let tables = database
        .column::<String>(
            "select table_name::text from information_schema.columns
            where column_name = 'user_id' and table_schema = 'public' and table_name <> 'audit_log'",
        )
        .await;
    assert!(tables.len() >= 4, "{tables:?}");
    for table in tables {
        let statement = format!("select count(*) from {table} where user_id = $1");
        let rows: i64 = database.value(&statement, &[&user.session().user_id]).await;
        assert_eq!(rows, 0, "{table}");
    }
    let registered = user.anonymous().register(email, PASSWORD).await;
    registered.expect_status(201);
}

#[apply(e2e_test!)]
async fn requires_the_password(env: &TestEnv) {
    let user = env.user().await;
    let wrong = delete_account(&user, &json!({"password": "Wr0ng!password"})).await;
    wrong.expect_error(401, "invalid_credentials");
    let empty = delete_account(&user, &json!({})).await;
    empty.expect_invalid(&["password"]);
    user.get("/auth/me").await.expect_status(200);
}
