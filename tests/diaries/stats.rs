//! `GET /diaries/stats`, whose stored totals must always equal a recount.

use futures::future::join_all;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, entry_path, totals};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

const POSITIVE: &str = "Such a lovely and wonderful day.";
const NEGATIVE: &str = "Such an awful and dreadful day.";
const NEUTRAL: &str = "A day with a table and a chair.";
const BALANCED: &str = "A lovely start, a dreadful end.";

const CONTENTS: [&str; 4] = [POSITIVE, NEGATIVE, NEUTRAL, BALANCED];

#[apply(e2e_test!)]
async fn are_zero_for_a_new_user(env: &TestEnv) {
    let user = env.user().await;
    assert_eq!(user.stats().await, totals(0, 0, 0, 0));
}

#[apply(e2e_test!)]
async fn count_each_sentiment_of_own_entries(env: &TestEnv) {
    let (user, other) = (env.user().await, env.user().await);
    let mut sentiments = Vec::new();
    for content in CONTENTS {
        let entry = user.create_entry(content).await;
        sentiments.push(entry["sentiment"].clone());
    }
    assert_eq!(sentiments, ["positive", "negative", "neutral", "neutral"]);
    assert_eq!(user.stats().await, totals(4, 1, 1, 2));
    assert_eq!(other.stats().await, totals(0, 0, 0, 0));
}

#[apply(e2e_test!)]
async fn follow_updates_and_deletions(env: &TestEnv) {
    let user = env.user().await;
    let entry = user.create_entry(POSITIVE).await;
    assert_eq!(user.stats().await, totals(1, 1, 0, 0));
    for (content, expected) in [
        (NEGATIVE, totals(1, 0, 1, 0)),
        (NEUTRAL, totals(1, 0, 0, 1)),
        (POSITIVE, totals(1, 1, 0, 0)),
        (POSITIVE, totals(1, 1, 0, 0)),
    ] {
        let response = user.update_entry(&entry, content).await;
        response.expect_status(200);
        assert_eq!(user.stats().await, expected);
    }
    user.delete(&entry_path(&entry)).await.expect_status(204);
    assert_eq!(user.stats().await, totals(0, 0, 0, 0));
}

#[apply(e2e_test!)]
async fn equal_a_recount_after_concurrent_changes(env: &TestEnv) {
    const CLIENTS: u64 = 8;
    const CHANGES: usize = 25;
    let user = env.user().await;
    let mut shared = Vec::new();
    for content in CONTENTS {
        shared.push(entry_path(&user.create_entry(content).await));
    }
    let seed = fastrand::u64(..);
    let clients = (0..CLIENTS).map(|client| {
        let random = fastrand::Rng::with_seed(seed.wrapping_add(client));
        change_at_random(&user, &shared, random, CHANGES)
    });
    join_all(clients).await;
    assert_eq!(user.stats().await, recount(&user).await, "seed {seed}");
}

/// Creates, updates and deletes entries: its own, and those that all clients share.
async fn change_at_random(
    user: &Client,
    shared: &[String],
    mut random: fastrand::Rng,
    changes: usize,
) {
    let mut own = Vec::new();
    for _ in 0..changes {
        let content = CONTENTS[random.usize(..CONTENTS.len())];
        let body = json!({"content": content});
        let shared = &shared[random.usize(..shared.len())];
        match random.u8(..10) {
            0..4 => own.push(entry_path(&user.create_entry(content).await)),
            4..7 => assert_done_or_deleted(user.put(shared, &body).await.status, 200),
            7 => assert_done_or_deleted(user.delete(shared).await.status, 204),
            8 if !own.is_empty() => {
                let path = &own[random.usize(..own.len())];
                user.put(path, &body).await.expect_status(200);
            }
            _ => {
                if let Some(path) = own.pop() {
                    user.delete(&path).await.expect_status(204);
                }
            }
        }
    }
}

/// Another client may have deleted a shared entry first.
#[track_caller]
fn assert_done_or_deleted(status: u16, done: u16) {
    assert!(status == done || status == 404, "{status}");
}

async fn recount(user: &Client) -> Value {
    let entries = user.all_entries().await;
    let count = |sentiment: &str| {
        let entries = entries.iter();
        entries
            .filter(|entry| entry["sentiment"] == sentiment)
            .count()
    };
    totals(
        entries.len(),
        count("positive"),
        count("negative"),
        count("neutral"),
    )
}
