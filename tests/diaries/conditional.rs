//! `ETag`, `If-None-Match` and `If-Match`.

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, entry_path};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;

#[track_caller]
fn etag(response: &Response) -> String {
    let etag = response.header("etag");
    let etag = etag.unwrap_or_else(|| panic!("no ETag: {}", response.dump()));
    let is_strong = etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"');
    assert!(is_strong, "{etag}");
    etag.to_owned()
}

async fn get_if_none_match(user: &Client, path: &str, tags: &str) -> Response {
    let request = user.request(Method::GET, path);
    request.header("if-none-match", tags).send().await
}

async fn put_if_match(user: &Client, entry: &Value, tags: &str, content: &str) -> Response {
    let request = user.request(Method::PUT, &entry_path(entry));
    let request = request.header("if-match", tags);
    request.json(&json!({"content": content})).send().await
}

async fn delete_if_match(user: &Client, entry: &Value, tags: &str) -> Response {
    let request = user.request(Method::DELETE, &entry_path(entry));
    request.header("if-match", tags).send().await
}

/// Fails unless the current tag, in every form that matches, gets 304, and other tags get the whole response.
async fn assert_conditional(user: &Client, path: &str) {
    let full = user.get(path).await.expect_status(200);
    let tag = etag(&full);
    for tags in [
        &tag,
        &format!("W/{tag}"),
        &format!("\"a\", {tag} ,W/\"b\""),
        "*",
    ] {
        let response = get_if_none_match(user, path, tags).await;
        let response = response.expect_status(304);
        assert_eq!(response.body, "", "{tags}");
        assert_eq!(etag(&response), tag, "{tags}");
    }
    let unquoted = tag.trim_matches('"');
    for tags in ["\"other\"", unquoted, ""] {
        let response = get_if_none_match(user, path, tags).await;
        assert_eq!(response.expect_status(200).body, full.body, "{tags}");
    }
}

#[apply(e2e_test!)]
async fn get_of_an_unchanged_entry_returns_304(env: &TestEnv) {
    let user = env.user().await;
    let body = json!({"content": "A lovely walk."});
    let created = user.post("/diaries", &body).await.expect_status(201);
    let entry = created.json();
    let path = entry_path(&entry);
    assert_eq!(etag(&user.get(&path).await), etag(&created));
    assert_conditional(&user, &path).await;
    let updated = user.update_entry(&entry, "An awful walk.").await;
    assert_ne!(etag(&updated), etag(&created));
    let response = get_if_none_match(&user, &path, &etag(&created)).await;
    assert_eq!(response.expect_status(200).json(), updated.json());
    assert_eq!(etag(&user.get(&path).await), etag(&updated));
}

#[apply(e2e_test!)]
async fn get_of_an_unchanged_list_returns_304(env: &TestEnv) {
    let user = env.user().await;
    user.create_entry("A lovely walk to the lake.").await;
    for path in ["/diaries", "/diaries?cursor=", "/diaries?q=walk"] {
        let before = etag(&user.get(path).await.expect_status(200));
        assert_conditional(&user, path).await;
        user.create_entry("Another walk to the lake.").await;
        let response = get_if_none_match(&user, path, &before).await;
        assert_ne!(etag(&response.expect_status(200)), before, "{path}");
    }
}

#[apply(e2e_test!)]
async fn a_304_still_needs_an_active_session(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("A lovely walk.").await;
    let path = entry_path(&entry);
    let tag = etag(&user.get(&path).await);
    let other = env.user().await;
    let response = get_if_none_match(&other, &path, &tag).await;
    response.expect_error(403, "forbidden");
    user.log_out().await.expect_status(200);
    let response = get_if_none_match(&user, &path, &tag).await;
    response.expect_error(401, "token_revoked");
}

#[apply(e2e_test!)]
async fn put_needs_the_current_tag(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("A lovely walk.").await;
    let first = etag(&user.get(&entry_path(&entry)).await);
    let response = put_if_match(&user, &entry, &first, "The second text.").await;
    let response = response.expect_status(200);
    let second = etag(&response);
    let stored = response.json();
    let weak = format!("W/{second}");
    for tags in [&first, &weak, "\"other\"", second.trim_matches('"'), ""] {
        let response = put_if_match(&user, &entry, tags, "A lost update.").await;
        response.expect_error(412, "precondition_failed");
        assert_eq!(user.read_entry(&entry).await, stored, "{tags}");
    }
    let list = format!("{first}, {second}");
    for tags in [&list, "*"] {
        let response = put_if_match(&user, &entry, tags, "The third text.").await;
        response.expect_status(200);
    }
}

#[apply(e2e_test!)]
async fn delete_needs_the_current_tag(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("A lovely walk.").await;
    let first = etag(&user.get(&entry_path(&entry)).await);
    let updated = user.update_entry(&entry, "The second text.").await;
    let second = etag(&updated.expect_status(200));
    for tags in [&first, &format!("W/{second}")] {
        let response = delete_if_match(&user, &entry, tags).await;
        response.expect_error(412, "precondition_failed");
    }
    assert_eq!(user.list("").await["total"], 1);
    let response = delete_if_match(&user, &entry, &second).await;
    response.expect_status(204);
    let response = delete_if_match(&user, &entry, &second).await;
    response.expect_error(404, "not_found");
    let any = user.create_entry("Another lovely walk.").await;
    delete_if_match(&user, &any, "*").await.expect_status(204);
}

#[apply(e2e_test!)]
async fn if_match_of_another_user_s_entry_is_forbidden(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let entry = bob.create_entry("An entry of Bob.").await;
    let tag = etag(&bob.get(&entry_path(&entry)).await);
    for tags in [&tag, "\"other\"", "*"] {
        let response = put_if_match(&ann, &entry, tags, "An update by Ann.").await;
        response.expect_error(403, "forbidden");
        let response = delete_if_match(&ann, &entry, tags).await;
        response.expect_error(403, "forbidden");
    }
    assert_eq!(bob.read_entry(&entry).await, entry);
}

#[apply(e2e_test!)]
async fn one_of_10_concurrent_updates_of_a_version_succeeds(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("A lovely walk.").await;
    let tag = etag(&user.get(&entry_path(&entry)).await);
    let update = async |number: usize| {
        let content = format!("The text of device {number}.");
        put_if_match(&user, &entry, &tag, &content).await
    };
    let responses = join_all((0..10).map(update)).await;
    let (updated, rejected): (Vec<_>, Vec<_>) = responses
        .into_iter()
        .partition(|response| response.status == 200);
    assert_eq!(updated.len(), 1);
    for response in rejected {
        response.expect_error(412, "precondition_failed");
    }
    assert_eq!(user.read_entry(&entry).await, updated[0].json());
}
