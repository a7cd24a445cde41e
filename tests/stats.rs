//! `GET /diaries/stats`, and that the kept totals are always those of a recount.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::Caller;
use crate::stage::Stage;

tests![
    stats_of_a_new_user_are_zero,
    stats_count_each_sentiment,
    stats_follow_changes_of_mood,
    stats_equal_a_recount_after_changes_from_many_places,
];

const TEXTS: [&str; 4] = [
    "Such a lovely and wonderful day.",
    "Such an awful and dreadful day.",
    "A day with a table and a chair.",
    "A lovely start, a dreadful end.",
];

fn totals(total: usize, positive: usize, negative: usize, neutral: usize) -> Value {
    json!({"total_entries": total, "positive_entries": positive, "negative_entries": negative, "neutral_entries": neutral})
}

async fn stats(user: &Caller) -> Value {
    user.get("/diaries/stats").await.expect(200).json()
}

async fn stats_of_a_new_user_are_zero(stage: &Stage) {
    let user = stage.shared.service.user().await;
    assert_eq!(stats(&user).await, totals(0, 0, 0, 0));
}

async fn stats_count_each_sentiment(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let mut sentiments = Vec::new();
    for text in TEXTS {
        sentiments.push(user.write(text).await["sentiment"].clone());
    }
    assert_eq!(sentiments, ["positive", "negative", "neutral", "neutral"]);
    assert_eq!(stats(&user).await, totals(4, 1, 1, 2));
    let other = stage.shared.service.user().await;
    assert_eq!(stats(&other).await, totals(0, 0, 0, 0));
}

async fn stats_follow_changes_of_mood(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let path = format!("/diaries/{}", user.write(TEXTS[0]).await["id"]);
    assert_eq!(stats(&user).await, totals(1, 1, 0, 0));
    for (text, expected) in [
        (TEXTS[1], totals(1, 0, 1, 0)),
        (TEXTS[2], totals(1, 0, 0, 1)),
        (TEXTS[0], totals(1, 1, 0, 0)),
        (TEXTS[0], totals(1, 1, 0, 0)),
    ] {
        user.put(&path, &json!({"content": text})).await.expect(200);
        assert_eq!(stats(&user).await, expected);
    }
    user.delete(&path).await.expect(204);
    assert_eq!(stats(&user).await, totals(0, 0, 0, 0));
}

async fn stats_equal_a_recount_after_changes_from_many_places(stage: &Stage) {
    const PLACES: u64 = 8;
    const STEPS: usize = 25;
    let user = stage.shared.service.user().await;
    let mut paths = Vec::new();
    for text in TEXTS {
        paths.push(format!("/diaries/{}", user.write(text).await["id"]));
    }
    let seed = fastrand::u64(..);
    join_all((0..PLACES).map(|place| wander(&user, &paths, seed + place, STEPS))).await;
    assert_eq!(stats(&user).await, recount(&user).await, "seed {seed}");
}

/// Writes, changes and deletes at random, often the same few entries as the others do.
async fn wander(user: &Caller, fought_over: &[String], seed: u64, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut own = Vec::new();
    for _ in 0..steps {
        let text = TEXTS[random.usize(..TEXTS.len())];
        let shared = &fought_over[random.usize(..fought_over.len())];
        match random.u8(..10) {
            0..4 => own.push(format!("/diaries/{}", user.write(text).await["id"])),
            4..7 => check(
                user.put(shared, &json!({"content": text})).await.status,
                200,
            ),
            7 => check(user.delete(shared).await.status, 204),
            8 if !own.is_empty() => {
                let path = &own[random.usize(..own.len())];
                assert_eq!(user.put(path, &json!({"content": text})).await.status, 200);
            }
            _ => {
                if let Some(path) = own.pop() {
                    assert_eq!(user.delete(&path).await.status, 204);
                }
            }
        }
    }
}

/// Somebody else may have deleted it first.
#[track_caller]
fn check(status: u16, done: u16) {
    assert!(status == done || status == 404, "{status}");
}

async fn recount(user: &Caller) -> Value {
    let mut counts = [0; 3];
    let (mut page, mut pages) = (1, 1);
    let mut total = 0;
    while page <= pages {
        let body = user
            .get(&format!("/diaries?per_page=100&page={page}"))
            .await
            .expect(200)
            .json();
        let items = body["items"].as_array().expect("a list").clone();
        for diary in &items {
            let index = ["positive", "negative", "neutral"]
                .iter()
                .position(|mood| diary["sentiment"] == *mood);
            counts[index.expect("a sentiment")] += 1;
        }
        total += items.len();
        pages = body["pages"].as_u64().expect("a number");
        assert_eq!(
            body["total"].as_u64().map(|total| total.div_ceil(100)),
            Some(pages)
        );
        page += 1;
    }
    totals(total, counts[0], counts[1], counts[2])
}
