//! `GET /auth/me/export`.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

/// Returns the lines of an export. Its length is not known in advance, which breaks an invariant of other responses.
pub async fn export(user: &Client) -> Vec<Value> {
    let request = user.request(Method::GET, "/auth/me/export");
    let response = request.send_unchecked().await.expect_status(200);
    assert_eq!(
        response.header("content-type"),
        Some("application/x-ndjson")
    );
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let text = response.text();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"));
    lines.collect()
}

fn of_type(lines: &[Value], name: &str) -> Vec<Value> {
    let lines = lines.iter().filter(|line| line["type"] == name);
    lines.cloned().collect()
}

/// Adds `type` to an entry as the service shows it.
fn line_of(entry: &Value) -> Value {
    let mut line = entry.clone();
    line["type"] = json!("diary");
    line
}

#[apply(e2e_test!)]
async fn has_the_account_its_sessions_its_log_and_its_entries(env: &TestEnv) {
    let (user, other) = (env.user().await, env.user().await);
    other.create_entry("An entry of another user.").await;
    let entry = user
        .create_entry("A wonderful \"day\", <b>indeed</b>\n🙂")
        .await;
    let lines = export(&user).await;
    let types: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    assert_eq!(
        types,
        ["account", "session", "audit_log", "audit_log", "diary"]
    );
    assert_eq!(lines[0]["email"], user.session().email);
    assert_eq!(lines[2]["action"], "account_created");
    assert_eq!(lines[3]["action"], "logged_in");
    assert_eq!(lines[4], line_of(&entry));
}

#[apply(e2e_test!)]
async fn has_every_entry_once_and_the_oldest_first(env: &TestEnv) {
    let user = env.user().await;
    let database = env.shared.database().await;
    // Three entries a minute, so that pages of 100 end between entries of the same time.
    let insert = "
        insert into thought_diaries (user_id, content, created_at)
        select $1, 'Entry number ' || number, timestamp '2026-01-01' + number / 3 * interval '1 minute'
        from generate_series(1, 1001) number";
    let inserted = database.execute(insert, &[&user.session().user_id]).await;
    assert_eq!(inserted, 1001);
    let diaries = of_type(&export(&user).await, "diary");
    let mut expected = user.all_entries().await;
    expected.reverse();
    let expected: Vec<Value> = expected.iter().map(line_of).collect();
    assert_eq!(diaries, expected);
}

#[apply(e2e_test!)]
async fn requires_an_active_session(env: &TestEnv) {
    let user = env.user().await;
    user.log_out().await.expect_status(200);
    let response = user.get("/auth/me/export").await;
    response.expect_error(401, "token_revoked");
}
