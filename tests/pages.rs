//! `GET /diaries`: order, pages and totals.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Caller;
use crate::diaries::list;
use crate::stage::Stage;

tests![
    list_is_empty_for_a_new_user,
    list_shows_the_newest_first,
    list_orders_entries_of_one_moment_by_id,
    list_gives_every_entry_once_over_its_pages,
    list_gives_at_most_100,
    list_shows_own_entries_only,
];

fn ids(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().expect("a list");
    items
        .iter()
        .map(|diary| diary["id"].as_i64().expect("an id"))
        .collect()
}

async fn list_is_empty_for_a_new_user(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let empty = json!({"items": [], "page": 1, "per_page": 10, "total": 0, "pages": 0});
    assert_eq!(list(&user, "").await, empty);
    assert_eq!(
        list(&user, "?page=3&per_page=7").await,
        json!({"items": [], "page": 3, "per_page": 7, "total": 0, "pages": 0})
    );
}

async fn list_shows_the_newest_first(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let mut written = Vec::new();
    for number in 0..4 {
        written.push(
            user.write(&format!("Entry number {number}.")).await["id"]
                .as_i64()
                .expect("an id"),
        );
    }
    let oldest = written[0];
    written.reverse();
    assert_eq!(ids(&list(&user, "").await), written);
    // A change does not move an entry: the order is that of writing.
    user.put(
        &format!("/diaries/{oldest}"),
        &json!({"content": "The oldest, changed last."}),
    )
    .await
    .expect(200);
    assert_eq!(ids(&list(&user, "").await), written);
}

/// Puts entries into the database directly, all at one moment.
async fn insert(stage: &Stage, user: &Caller, count: i32) {
    let database = stage.shared.database().await;
    let statement = "
        insert into thought_diaries (user_id, content, created_at, updated_at)
        select $1, 'Entry number ' || number, '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678'
        from generate_series(1, $2) number";
    database
        .execute(statement, &[&user.login().user_id, &count])
        .await
        .expect("inserts");
}

async fn list_orders_entries_of_one_moment_by_id(stage: &Stage) {
    let user = stage.shared.service.user().await;
    insert(stage, &user, 30).await;
    let listed = ids(&list(&user, "?per_page=30").await);
    let mut sorted = listed.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((listed.len(), &listed), (30, &sorted));
}

async fn list_gives_every_entry_once_over_its_pages(stage: &Stage) {
    let user = stage.shared.service.user().await;
    insert(stage, &user, 25).await;
    for (per_page, sizes) in [
        (10, vec![10, 10, 5, 0]),
        (5, vec![5, 5, 5, 5, 5, 0]),
        (25, vec![25, 0]),
        (100, vec![25, 0]),
    ] {
        let mut seen = BTreeSet::new();
        for (index, size) in sizes.iter().enumerate() {
            let page = list(&user, &format!("?page={}&per_page={per_page}", index + 1)).await;
            assert_eq!(ids(&page).len(), *size, "{page}");
            assert_eq!(
                (&page["total"], &page["pages"]),
                (&json!(25), &json!(sizes.len() - 1))
            );
            assert_eq!(
                (&page["page"], &page["per_page"]),
                (&json!(index + 1), &json!(per_page))
            );
            seen.extend(ids(&page));
        }
        assert_eq!(seen.len(), 25);
    }
    assert_eq!(
        list(&user, "").await,
        list(&user, "?page=1&per_page=10").await
    );
    assert_eq!(
        list(&user, "?page=2").await,
        list(&user, "?page=2&per_page=10").await
    );
}

async fn list_gives_at_most_100(stage: &Stage) {
    let user = stage.shared.service.user().await;
    insert(stage, &user, 120).await;
    assert_eq!(ids(&list(&user, "?per_page=100").await).len(), 100);
    user.get("/diaries?per_page=101")
        .await
        .expect_invalid("per_page");
}

async fn list_shows_own_entries_only(stage: &Stage) {
    let (ann, bob) = (
        stage.shared.service.user().await,
        stage.shared.service.user().await,
    );
    let own = ann.write("An entry that is mine.").await;
    bob.write("An entry that is not.").await;
    let page = list(&ann, "?per_page=100").await;
    assert_eq!((&page["items"], &page["total"]), (&json!([own]), &json!(1)));
}
