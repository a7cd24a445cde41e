//! `cursor` of `GET /diaries`: reading a list that changes.

use macro_rules_attribute::apply;
use serde_json::Value;

use crate::support::client::{Client, entry_id, items};
use crate::support::entries::insert_entries;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

async fn part(user: &Client, cursor: &str) -> (Vec<i64>, Option<String>) {
    let part = user.list(&format!("?per_page=10&cursor={cursor}")).await;
    let keys: Vec<&String> = part.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["items", "next_cursor", "per_page"]);
    let next = match &part["next_cursor"] {
        Value::Null => None,
        next => Some(next.as_str().expect("a string").to_owned()),
    };
    (items(&part).iter().map(entry_id).collect(), next)
}

/// Reads from `cursor` to the end.
async fn rest(user: &Client, mut cursor: Option<String>) -> Vec<i64> {
    let mut ids = Vec::new();
    while let Some(position) = cursor {
        let (listed, next) = part(user, &position).await;
        assert!(
            !listed.is_empty(),
            "a part with a cursor before it has entries"
        );
        ids.extend(listed);
        cursor = next;
    }
    ids
}

#[apply(e2e_test!)]
async fn reads_every_entry_once_newest_first(env: &TestEnv) {
    for count in [0, 1, 9, 10, 11, 20, 25] {
        let user = env.user().await;
        let mut expected = insert_entries(env, &user, count).await;
        expected.reverse();
        let (mut ids, next) = part(&user, "").await;
        assert_eq!(next.is_some(), count > 10, "{count} entries");
        ids.extend(rest(&user, next).await);
        assert_eq!(ids, expected);
    }
}

#[apply(e2e_test!)]
async fn skips_and_repeats_nothing_while_the_list_changes(env: &TestEnv) {
    let user = env.user().await;
    let mut old = insert_entries(env, &user, 30).await;
    old.reverse();
    let (first, next) = part(&user, "").await;
    assert_eq!(first, old[..10]);
    // New entries come before the cursor. One listed entry is deleted, the one at the cursor, and one that follows.
    for number in 0..3 {
        user.create_entry(&format!("New entry number {number}."))
            .await;
    }
    for position in [4, 9, 12] {
        let deleted = user.delete(&format!("/diaries/{}", old[position])).await;
        deleted.expect_status(204);
    }
    let mut expected = old[10..].to_vec();
    expected.remove(2);
    assert_eq!(rest(&user, next).await, expected);
}

#[apply(e2e_test!)]
async fn reads_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let mut of_bob = insert_entries(env, &bob, 15).await;
    insert_entries(env, &ann, 15).await;
    of_bob.reverse();
    let (_, cursor_of_ann) = part(&ann, "").await;
    assert_eq!(rest(&bob, cursor_of_ann).await, of_bob);
}

#[apply(e2e_test!)]
async fn combines_with_filters(env: &TestEnv) {
    let user = env.user().await;
    let expected = insert_entries(env, &user, 15).await;
    user.create_entry("A text without that word.").await;
    let first = user.list("?q=numbers&cursor=&per_page=10").await;
    let next = first["next_cursor"].as_str().expect("there are more");
    let query = format!("?q=numbers&cursor={next}&per_page=10");
    let second = user.list(&query).await;
    assert_eq!(second["next_cursor"], Value::Null);
    let listed = items(&first).iter().chain(items(&second)).map(entry_id);
    let mut listed: Vec<i64> = listed.collect();
    listed.reverse();
    assert_eq!(listed, expected);
}

#[apply(e2e_test!)]
async fn rejects_invalid_values(env: &TestEnv) {
    let user = env.user().await;
    for query in [
        "cursor=x",
        "cursor=-",
        "cursor=1-",
        "cursor=-1-1",
        "cursor=1-1-1",
        "cursor=1-80000000",
        "cursor=10000000000000000-1",
        "cursor=7fffffffffffffff-7fffffff",
        "cursor=8000000000000000-1",
        "cursor=&cursor=",
        "cursor=&page=1",
        "cursor=1-1&page=2",
    ] {
        let response = user.get(&format!("/diaries?{query}")).await;
        response.expect_invalid(&["cursor"]);
    }
    for valid in ["0-0", "ffffffffffffffff-7fffffff", "384440ccc735fff-1"] {
        assert_eq!(part(&user, valid).await, (Vec::new(), None));
    }
}
