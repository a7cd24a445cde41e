//! `POST /diaries/import`.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, totals};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;

async fn export(user: &Client) -> String {
    let request = user.request(Method::GET, "/auth/me/export");
    request.send_unchecked().await.expect_status(200).text()
}

async fn import(user: &Client, lines: impl Into<String>) -> Response {
    let request = user.request(Method::POST, "/diaries/import");
    let request = request.body("application/x-ndjson", lines.into());
    request.send().await
}

#[track_caller]
fn expect_imported(response: Response, imported: i64, skipped: i64) {
    let body = response.expect_status(200).json();
    assert_eq!(body, json!({"imported": imported, "skipped": skipped}));
}

/// Returns the entries without their ids, which an import does not keep.
async fn entries_without_ids(user: &Client) -> Vec<Value> {
    let mut entries = user.all_entries().await;
    for entry in &mut entries {
        let removed = entry.as_object_mut().expect("an object").remove("id");
        assert!(removed.is_some());
    }
    entries
}

#[apply(e2e_test!)]
async fn takes_the_lines_of_an_export_back(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    ann.create_entry("A wonderful \"day\", <b>indeed</b>\n🙂")
        .await;
    ann.create_entry("An awful day, and so on.").await;
    let lines = export(&ann).await;
    expect_imported(import(&bob, &lines).await, 2, 0);
    let expected = entries_without_ids(&ann).await;
    assert_eq!(entries_without_ids(&bob).await, expected);
    assert_eq!(bob.stats().await, ann.stats().await);
    // Both the user who has imported them and the one who wrote them have these entries now.
    for user in [&ann, &bob] {
        expect_imported(import(user, &lines).await, 0, 2);
        assert_eq!(entries_without_ids(user).await, expected);
    }
}

#[apply(e2e_test!)]
async fn takes_more_than_other_routes_in_one_body(env: &TestEnv) {
    let user = env.user().await;
    let line = |number: u32| {
        let content = format!("Entry {number}: {}", "x".repeat(200));
        let line = json!({
            "type": "diary",
            "content": content,
            "created_at": format!("2026-01-01T00:{:02}:{:02}.000Z", number / 60, number % 60),
        });
        format!("{line}\n")
    };
    let lines: String = (0..1001).map(line).collect();
    assert!(lines.len() > 256 * 1024, "{}", lines.len());
    expect_imported(import(&user, &lines).await, 1001, 0);
    assert_eq!(user.stats().await, totals(1001, 0, 0, 1001));
    let newest = user.list("?per_page=1").await["items"][0].clone();
    assert_eq!(newest["created_at"], "2026-01-01T00:16:40.000Z");
    expect_imported(import(&user, &lines).await, 0, 1001);
}

#[apply(e2e_test!)]
async fn stores_unsafe_marks_as_not_analyzed(env: &TestEnv) {
    let user = env.user().await;
    let line = json!({
        "type": "diary",
        "content": "A lovely day & night.",
        "analyzed_content": "A <img src=x onerror=alert(1)> day &amp; night.",
        "analyzed_by": "model",
        "positive_count": 9,
        "created_at": "2026-01-02T03:04:05.678Z",
    });
    expect_imported(import(&user, line.to_string()).await, 1, 0);
    let entry = &user.all_entries().await[0];
    assert_eq!(entry["analyzed_content"], "A lovely day &amp; night.");
    assert_eq!(entry["analyzed_by"], Value::Null);
    assert_eq!(entry["positive_count"], 0);
    assert_eq!(entry["updated_at"], "2026-01-02T03:04:05.678Z");
}

#[apply(e2e_test!)]
async fn names_the_record_that_is_invalid(env: &TestEnv) {
    let user = env.user().await;
    let valid = json!({
        "type": "diary",
        "content": "A lovely day.",
        "created_at": "2026-01-02T03:04:05Z",
    });
    let lines = format!("{valid}\n\n{{\"type\":\"diary\",\"content\":\"short\"}}\n");
    let response = import(&user, lines).await.expect_invalid(&["body"]);
    let reason = "record 2: must be 10 to 5000 characters long after trimming";
    assert_eq!(response.json()["details"]["body"], json!([reason]));
    assert_eq!(user.all_entries().await, Vec::<Value>::new());
}

#[apply(e2e_test!)]
async fn requires_json_lines_and_a_session(env: &TestEnv) {
    let user = env.user().await;
    let response = user.post("/diaries/import", &json!({})).await;
    response.expect_error(415, "unsupported_media_type");
    expect_imported(import(&user, "\n").await, 0, 0);
    user.log_out().await.expect_status(200);
    for lines in ["\n", "{\"type\":\"account\"}"] {
        import(&user, lines)
            .await
            .expect_error(401, "token_revoked");
    }
}
