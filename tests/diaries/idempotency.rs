//! `Idempotency-Key` on `POST /diaries`: a request can be repeated without a second entry.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{Client, entry_path};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::request::Request;
use crate::support::response::Response;
use crate::support::unique::unique_word;

const TEXT: &str = "A lovely walk to the lake.";

fn request(user: &Client, key: &str, content: &str) -> Request {
    let request = user.request(Method::POST, "/diaries");
    let request = request.header("idempotency-key", key);
    request.json(&json!({"content": content}))
}

async fn create(user: &Client, key: &str, content: &str) -> Response {
    request(user, key, content).send().await
}

#[apply(e2e_test!)]
async fn stores_one_entry_for_20_concurrent_requests(env: &TestEnv) {
    let user = env.user().await;
    let key = unique_word("key");
    let responses = join_all((0..20).map(|_| create(&user, &key, TEXT))).await;
    let list = user.list("").await;
    assert_eq!(list["total"], 1);
    let entry = &list["items"][0];
    for response in responses {
        let response = response.expect_status(201);
        let path = entry_path(entry);
        assert_eq!(response.header("location"), Some(path.as_str()));
        assert_eq!(response.json()["id"], entry["id"]);
        assert_eq!(response.json()["content"], TEXT);
    }
}

#[apply(e2e_test!)]
async fn returns_the_entry_of_the_first_request(env: &TestEnv) {
    let user = env.user().await;
    let key = unique_word("key");
    let first = create(&user, &key, TEXT).await.expect_status(201).json();
    let second = create(&user, &key, TEXT).await.expect_status(201).json();
    assert_eq!(second, first);
    // The entry as it is now.
    let updated = user.update_entry(&first, "Another text by now.").await;
    let third = create(&user, &key, TEXT).await.expect_status(201).json();
    assert_eq!(third, updated.expect_status(200).json());
    assert_eq!(user.list("").await["total"], 1);
}

#[apply(e2e_test!)]
async fn rejects_another_text_under_the_same_key(env: &TestEnv) {
    let user = env.user().await;
    let key = unique_word("key");
    create(&user, &key, TEXT).await.expect_status(201);
    let response = create(&user, &key, "A lovely walk to the lake!").await;
    response.expect_error(422, "idempotency_key_reused");
    assert_eq!(user.list("").await["total"], 1);
}

#[apply(e2e_test!)]
async fn does_not_create_a_deleted_entry_again(env: &TestEnv) {
    let user = env.user().await;
    let key = unique_word("key");
    let entry = create(&user, &key, TEXT).await.expect_status(201).json();
    let deleted = user.delete(&entry_path(&entry)).await;
    deleted.expect_status(204);
    let response = create(&user, &key, TEXT).await;
    response.expect_error(404, "not_found");
    assert_eq!(user.list("").await["total"], 0);
}

#[apply(e2e_test!)]
async fn separates_the_keys_of_users(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let key = unique_word("key");
    let own = create(&ann, &key, TEXT).await.expect_status(201).json();
    let other = create(&bob, &key, "A text of Bob's.").await;
    assert_ne!(other.expect_status(201).json()["id"], own["id"]);
    for user in [ann, bob] {
        assert_eq!(user.list("").await["total"], 1);
    }
}

#[apply(e2e_test!)]
async fn accepts_1_to_255_printable_characters(env: &TestEnv) {
    let user = env.user().await;
    for key in ["k", "\"quoted, with a comma\"", &"k".repeat(255)] {
        create(&user, key, TEXT).await.expect_status(201);
    }
    assert_eq!(user.list("").await["total"], 3);
    for key in ["", "a\tb", &"k".repeat(256)] {
        let response = create(&user, key, TEXT).await;
        response.expect_invalid(&["Idempotency-Key"]);
    }
    let two = request(&user, "one", TEXT).header("idempotency-key", "two");
    two.send().await.expect_invalid(&["Idempotency-Key"]);
    assert_eq!(user.list("").await["total"], 3);
}

#[apply(e2e_test!)]
async fn ends_after_24_hours(env: &TestEnv) {
    let user = env.user().await;
    let key = unique_word("key");
    let first = create(&user, &key, TEXT).await.expect_status(201).json();
    let database = env.shared.database().await;
    for (age, total) in [("23 hours 59 minutes", 1), ("24 hours 1 second", 2)] {
        let statement = format!(
            "update idempotency_keys set created_at = now() at time zone 'utc' - interval '{age}'
            where key = $1"
        );
        assert_eq!(database.execute(&statement, &[&key]).await, 1);
        let again = create(&user, &key, TEXT).await.expect_status(201).json();
        assert_eq!(again["id"] == first["id"], total == 1, "{age}");
        assert_eq!(user.list("").await["total"], total, "{age}");
    }
}

/// The first request gets 503 while its statement still runs. Postgres then commits it.
#[apply(e2e_test!)]
async fn finds_an_entry_whose_request_got_503(env: &TestEnv) {
    let settings = [("database_statement_timeout", "off")];
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    let database = instance.database().await;
    database
        .batch(
            "create function wait() returns trigger language plpgsql as $$
            begin
                perform pg_sleep(4);
                return null;
            end $$;
            create trigger slow after insert on thought_diaries execute function wait();",
        )
        .await;
    let key = unique_word("key");
    let response = create(&user, &key, TEXT).await;
    response.expect_error(503, "service_unavailable");
    // Waits until the slow statement has been committed.
    tokio::time::sleep(Duration::from_millis(100)).await;
    database.batch("drop trigger slow on thought_diaries").await;
    let entry = create(&user, &key, TEXT).await.expect_status(201).json();
    let list = user.list("").await;
    assert_eq!(list["total"], 1);
    assert_eq!(list["items"][0]["id"], entry["id"]);
}
