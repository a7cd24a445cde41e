//! `GET /diaries`: order, pages and totals.

use std::collections::BTreeSet;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{entry_id, items};
use crate::support::entries::insert_entries;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

fn ids(page: &Value) -> Vec<i64> {
    items(page).iter().map(entry_id).collect()
}

#[apply(e2e_test!)]
async fn is_empty_for_a_new_user(env: &TestEnv) {
    let user = env.user().await;
    let first = json!({"items": [], "page": 1, "per_page": 10, "total": 0, "pages": 0});
    assert_eq!(user.list("").await, first);
    let third = json!({"items": [], "page": 3, "per_page": 7, "total": 0, "pages": 0});
    assert_eq!(user.list("?page=3&per_page=7").await, third);
}

#[apply(e2e_test!)]
async fn returns_the_newest_first(env: &TestEnv) {
    let user = env.user().await;
    let oldest = user.create_entry("Entry number 0.").await;
    let mut created = vec![entry_id(&oldest)];
    for number in 1..4 {
        let entry = user.create_entry(&format!("Entry number {number}.")).await;
        created.push(entry_id(&entry));
    }
    created.reverse();
    assert_eq!(ids(&user.list("").await), created);
    // The order is that of creation: an update does not move an entry.
    let updated = user
        .update_entry(&oldest, "The oldest, updated last.")
        .await;
    updated.expect_status(200);
    assert_eq!(ids(&user.list("").await), created);
}

#[apply(e2e_test!)]
async fn orders_entries_of_the_same_moment_by_id(env: &TestEnv) {
    let user = env.user().await;
    insert_entries(env, &user, 30).await;
    let listed = ids(&user.list("?per_page=30").await);
    assert_eq!(listed.len(), 30);
    assert!(listed.is_sorted_by(|a, b| a > b), "{listed:?}");
}

#[apply(e2e_test!)]
async fn returns_every_entry_once_over_its_pages(env: &TestEnv) {
    let user = env.user().await;
    insert_entries(env, &user, 25).await;
    for (per_page, sizes) in [
        (10, vec![10, 10, 5, 0]),
        (5, vec![5, 5, 5, 5, 5, 0]),
        (25, vec![25, 0]),
        (100, vec![25, 0]),
    ] {
        let mut seen = BTreeSet::new();
        for (number, size) in (1..).zip(&sizes) {
            let page = user
                .list(&format!("?page={number}&per_page={per_page}"))
                .await;
            let ids = ids(&page);
            let expected = json!({
                "items": page["items"],
                "page": number,
                "per_page": per_page,
                "total": 25,
                "pages": sizes.len() - 1,
            });
            assert_eq!(page, expected);
            assert_eq!(ids.len(), *size, "{page}");
            seen.extend(ids);
        }
        assert_eq!(seen.len(), 25);
    }
    for (query, same) in [
        ("", "?page=1&per_page=10"),
        ("?page=2", "?page=2&per_page=10"),
    ] {
        assert_eq!(user.list(query).await, user.list(same).await);
    }
}

#[apply(e2e_test!)]
async fn returns_at_most_100_entries(env: &TestEnv) {
    let user = env.user().await;
    insert_entries(env, &user, 120).await;
    assert_eq!(ids(&user.list("?per_page=100").await).len(), 100);
    let response = user.get("/diaries?per_page=101").await;
    response.expect_invalid(&["per_page"]);
}

#[apply(e2e_test!)]
async fn returns_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let own = ann.create_entry("An entry of Ann.").await;
    bob.create_entry("An entry of Bob.").await;
    let page = ann.list("?per_page=100").await;
    assert_eq!(page["items"], json!([own]));
    assert_eq!(page["total"], 1);
}

#[apply(e2e_test!)]
async fn rejects_invalid_pages(env: &TestEnv) {
    let user = env.user().await;
    let digits = "9".repeat(100);
    let invalid = [
        "0",
        "-1",
        "",
        "1.5",
        "ten",
        "1e1",
        "9223372036854775808",
        &digits,
        "%00",
        "%FF",
        "1%20",
        "1;2",
        "null",
        "١",
    ];
    for value in invalid {
        for field in ["page", "per_page"] {
            let response = user.get(&format!("/diaries?{field}={value}")).await;
            response.expect_invalid(&[field]);
        }
    }
    for (query, fields) in [
        ("per_page=101", &["per_page"][..]),
        ("page=1&page=2", &["page"]),
        ("page=0&per_page=0", &["page", "per_page"]),
        ("page=1000000001", &["page"]),
    ] {
        let response = user.get(&format!("/diaries?{query}")).await;
        response.expect_invalid(fields);
    }
    let last = user.list("?per_page=100&page=1000000000").await;
    assert_eq!(last["items"], json!([]));
}

#[apply(e2e_test!)]
async fn ignores_unknown_parameters(env: &TestEnv) {
    let user = env.user().await;
    let expected = user.list("").await;
    for query in [
        "?",
        "?&&&",
        "?=",
        "?x",
        "?x=y",
        "?Page=0",
        "?page[]=0",
        "?%70age=1",
        "?x=%FF%00",
        "?page=1#fragment",
        "?sort=id'--",
    ] {
        assert_eq!(user.list(query).await, expected, "{query}");
    }
}

/// Entries before the page are skipped in the index. Building their JSON as well would read every row.
#[apply(e2e_test!)]
async fn reads_the_last_of_10_000_pages_with_as_few_blocks_as_the_first(env: &TestEnv) {
    let user = env.user().await;
    insert_entries(env, &user, 10_000).await;
    let database = env.shared.database().await;
    let statement = "
        explain (analyze, buffers, format json)
        select diary_page(id, user_id, $1, 1) from sessions
        where user_id = $2 order by created_at desc limit 1";
    let user_id = user.session().user_id;
    let blocks = async |page: i64| {
        let plan: Value = database.value(statement, &[&page, &user_id]).await;
        let plan = &plan[0]["Plan"];
        let blocks = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| plan[name].as_i64());
        blocks
            .into_iter()
            .sum::<Option<i64>>()
            .expect("the plan counts blocks")
    };
    // The first call for a page plans its statement, which reads the system's tables.
    blocks(1).await;
    let first = blocks(1).await;
    assert!(first > 0);
    for page in [10_000, 1_000_000] {
        blocks(page).await;
        let other = blocks(page).await;
        // The entries of the index fill some 50 blocks, and the rows 150 more.
        assert!(
            other <= first + 100,
            "page {page} reads {other} blocks, the first page {first}"
        );
    }
}
