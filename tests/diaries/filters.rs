//! The filters of `GET /diaries`: `q`, `sentiment`, `from` and `to`.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, entry_id, items};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

const NONE: [i64; 0] = [];

/// Returns the ids of the entries that meet a filter, oldest first. Pages and cursors must agree.
async fn find(user: &Client, filter: &str) -> Vec<i64> {
    let page = user.list(&format!("?{filter}")).await;
    let part = user.list(&format!("?{filter}&cursor=")).await;
    assert_eq!(page["items"], part["items"], "{filter}");
    assert_eq!(page["total"], items(&page).len(), "{filter}");
    let pages = u8::from(!items(&page).is_empty());
    assert_eq!(page["pages"], pages, "{filter}");
    assert_eq!(part["next_cursor"], Value::Null, "{filter}");
    let mut ids: Vec<i64> = items(&page).iter().map(entry_id).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "{filter}: {ids:?}");
    ids.reverse();
    ids
}

async fn create_entries<const N: usize>(user: &Client, contents: [&str; N]) -> [i64; N] {
    let mut ids = [0; N];
    for (id, content) in ids.iter_mut().zip(contents) {
        *id = entry_id(&user.create_entry(content).await);
    }
    ids
}

#[apply(e2e_test!)]
async fn find_words_in_every_english_form(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
        "We walked to the lake.",
        "She walks every morning.",
        "A WALK before breakfast.",
        "The sidewalk was wet.",
    ];
    let [walked, walks, walk, _] = create_entries(&user, contents).await;
    for form in ["walking", "walked", "Walks", "WALK"] {
        let found = find(&user, &format!("q={form}")).await;
        assert_eq!(found, [walked, walks, walk], "{form}");
    }
    assert_eq!(find(&user, "q=lakes").await, [walked]);
    assert_eq!(find(&user, "q=swimming").await, NONE);
}

#[apply(e2e_test!)]
async fn find_words_without_regard_to_accents(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
        "Crème brûlée at the café.",
        "Creme brulee at the cafe.",
        "Cre\u{300}me bru\u{302}le\u{301}e at the cafe\u{301}.",
    ];
    let all = create_entries(&user, contents).await;
    for word in ["cafe", "caf%C3%A9", "cafe%CC%81", "BR%C3%9BL%C3%89E"] {
        assert_eq!(find(&user, &format!("q={word}")).await, all, "{word}");
    }
}

#[apply(e2e_test!)]
async fn find_entries_with_all_words(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
        "Coffee with Ann at the lake.",
        "Coffee with Bob in town.",
        "Tea with Ann in town.",
    ];
    let [lake, coffee, tea] = create_entries(&user, contents).await;
    assert_eq!(find(&user, "q=coffee").await, [lake, coffee]);
    assert_eq!(find(&user, "q=ann+coffee").await, [lake]);
    assert_eq!(find(&user, "q=town").await, [coffee, tea]);
    assert_eq!(find(&user, "q=the+ann").await, [lake, tea]);
    assert_eq!(find(&user, "q=coffee+tea").await, NONE);
}

#[apply(e2e_test!)]
async fn find_nothing_for_stop_words_and_punctuation_only(env: &TestEnv) {
    let user = env.user().await;
    user.create_entry("The cat and the dog, of course.").await;
    for words in ["the", "and+the", "%21%3F", "%27", "%5C%26%7C"] {
        assert_eq!(find(&user, &format!("q={words}")).await, NONE, "{words}");
    }
}

#[apply(e2e_test!)]
async fn find_a_new_text_and_not_the_old_one(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry("We walked to the lake.").await;
    let updated = user.update_entry(&entry, "We swam across the river.").await;
    updated.expect_status(200);
    assert_eq!(find(&user, "q=lake").await, NONE);
    assert_eq!(find(&user, "q=river").await, [entry_id(&entry)]);
}

#[apply(e2e_test!)]
async fn find_own_entries_only(env: &TestEnv) {
    let (ann, bob) = (env.user().await, env.user().await);
    let own = ann.create_entry("A walk of Ann's.").await;
    bob.create_entry("A walk of Bob's.").await;
    let own = [entry_id(&own)];
    for filter in ["q=walk", "sentiment=neutral", "from=2020-01-01"] {
        assert_eq!(find(&ann, filter).await, own, "{filter}");
    }
    assert_eq!(find(&ann, "q=bob").await, NONE);
    // Terms begin with the user's id, which no word can imitate.
    let imitated = format!("q={}%3Awalk", bob.session().user_id);
    assert_eq!(find(&ann, &imitated).await, NONE);
}

#[apply(e2e_test!)]
async fn find_a_sentiment(env: &TestEnv) {
    let user = env.user().await;
    let contents = [
        "A lovely walk to the lake.",
        "An awful walk to the lake.",
        "A lovely start, an awful end.",
    ];
    let [positive, negative, neutral] = create_entries(&user, contents).await;
    assert_eq!(find(&user, "sentiment=positive").await, [positive]);
    assert_eq!(find(&user, "sentiment=negative").await, [negative]);
    assert_eq!(find(&user, "sentiment=neutral").await, [neutral]);
    let both = find(&user, "sentiment=positive&q=walk").await;
    assert_eq!(both, [positive]);
}

#[apply(e2e_test!)]
async fn find_a_period_of_time(env: &TestEnv) {
    let user = env.user().await;
    let contents = ["The first entry.", "The second entry.", "The third entry."];
    let [first, second, third] = create_entries(&user, contents).await;
    let database = env.shared.database().await;
    for (id, time) in [
        (first, "2026-01-01 00:00:00"),
        (second, "2026-01-31 23:59:59.999"),
        (third, "2026-02-01 00:00:00"),
    ] {
        let statement = format!("update thought_diaries set created_at = '{time}' where id = {id}");
        assert_eq!(database.execute(&statement, &[]).await, 1);
    }
    for (filter, found) in [
        // A date as `to` includes its whole day, in UTC.
        ("from=2026-01-01&to=2026-01-31", vec![first, second]),
        ("from=2026-01-02", vec![second, third]),
        ("to=2026-01-01", vec![first]),
        ("to=2025-12-31", vec![]),
        // A time as `to` is excluded.
        ("to=2026-02-01T00:00:00Z", vec![first, second]),
        ("from=2026-02-01T00:00:00Z", vec![third]),
        ("from=2026-02-01T01:00:00%2B01:00", vec![third]),
        ("from=2026-01-31T23:59:59.999Z&q=entry", vec![second, third]),
    ] {
        assert_eq!(find(&user, filter).await, found, "{filter}");
    }
}

#[apply(e2e_test!)]
async fn are_paged(env: &TestEnv) {
    let user = env.user().await;
    for number in 0..5 {
        user.create_entry(&format!("Walk number {number}.")).await;
        user.create_entry("Nothing to speak of.").await;
    }
    for (page, size) in [(1, 2), (3, 1), (4, 0)] {
        let list = user.list(&format!("?q=walks&per_page=2&page={page}")).await;
        assert_eq!(items(&list).len(), size, "{list}");
        let rest =
            json!({"items": list["items"], "page": page, "per_page": 2, "total": 5, "pages": 3});
        assert_eq!(list, rest);
    }
}

#[apply(e2e_test!)]
async fn reject_invalid_values(env: &TestEnv) {
    let user = env.user().await;
    for (query, field) in [
        ("q=", "q"),
        ("q=+", "q"),
        (&format!("q={}", "x".repeat(201)), "q"),
        ("q=a%00b", "q"),
        ("q=a&q=b", "q"),
        ("sentiment=good", "sentiment"),
        ("sentiment=Positive", "sentiment"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("to=2026-01-01T25:00:00Z", "to"),
        ("to=2026-01-01T10:00:00", "to"),
    ] {
        let response = user.get(&format!("/diaries?{query}")).await;
        response.expect_invalid(&[field]);
    }
    for query in [
        "from=0000-01-01",
        "to=9999-12-31",
        "from=9999-12-31&to=0000-01-01",
    ] {
        user.list(&format!("?{query}")).await;
    }
}
