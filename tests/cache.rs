//! The model's marks are kept in Redis, as places in a text that is not there, so that the same text is paid for once.

use std::collections::BTreeMap;

use futures::future::join_all;
use redis::AsyncCommands;
use serde_json::{Value, json};

use crate::client::{Caller, fresh_word};
use crate::model::Reply;
use crate::sentiment::{HAPPY_AND_SAD, check_lexicon};
use crate::stage::{Instance, Stage};
use crate::wire::Wire;

tests![
    the_same_text_is_paid_for_once,
    the_same_text_at_the_same_moment_is_paid_for_once,
    who_waits_for_marks_that_do_not_come_is_not_left_waiting,
    who_has_waited_long_does_not_ask_as_well,
    an_answer_without_marks_is_kept_too,
    another_model_is_asked_anew,
    marks_are_kept_for_as_long_as_is_set,
    marks_are_not_kept_where_that_is_off,
    what_the_lexicon_marks_is_not_kept,
    kept_nonsense_is_ignored_and_replaced,
    what_a_server_refuses_is_known_to_all_instances,
    a_silent_redis_costs_only_what_is_kept,
];

const HAPPY: Reply = Reply::Phrases(&["happy in the morning"], &["sad"]);

/// A text that the model marks, and the word that tells it apart.
fn text(stage: &Stage) -> (String, String) {
    let word = fresh_word("zebra");
    stage.model.when(&word, HAPPY);
    (format!("{HAPPY_AND_SAD} {word}."), word)
}

#[track_caller]
fn check_model(diary: &Value) {
    assert_eq!(
        (
            &diary["analyzed_by"],
            &diary["positive_count"],
            &diary["negative_count"]
        ),
        (&json!("model"), &json!(1), &json!(1)),
        "{diary}"
    );
}

/// What is kept of texts, by key.
async fn kept(instance: &Instance) -> BTreeMap<String, String> {
    let mut redis = instance.redis().await;
    let keys: Vec<String> = redis.keys("{sentiment}:marks:*").await.expect("keys");
    let mut kept = BTreeMap::new();
    for key in keys {
        let value = redis.get(&key).await.expect("a string");
        kept.insert(key, value);
    }
    kept
}

async fn the_same_text_is_paid_for_once(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let other = stage.instance(&one.database_url, &one.redis_url, &[]).await;
    let (text, word) = text(stage);
    let user = one.service.user().await;
    let diary = user.write(&text).await;
    check_model(&diary);
    let somebody = one.service.user().await;
    let callers = [user.clone(), somebody.clone(), somebody.at(&other.service)];
    for caller in &callers {
        let again = caller.write(&text).await;
        for same in [
            "analyzed_content",
            "analyzed_by",
            "positive_count",
            "negative_count",
        ] {
            assert_eq!(again[same], diary[same], "{same}");
        }
    }
    let path = format!("/diaries/{}", diary["id"]);
    let other_text = json!({"content": "Nothing to speak of today."});
    user.put(&path, &other_text).await.expect(200);
    let back = user.put(&path, &json!({"content": text})).await;
    check_model(&back.expect(200).json());
    assert_eq!(stage.model.asked(&word).len(), 1);
    // Kept marks need no model.
    for _ in 0..3 {
        user.write(&{
            let word = fresh_word("zebra");
            stage.model.when(&word, Reply::Status(500, None));
            format!("{HAPPY_AND_SAD} {word}.")
        })
        .await;
    }
    check_model(&user.write(&text).await);
    one.app.stop().await;
    other.app.stop().await;
}

async fn the_same_text_at_the_same_moment_is_paid_for_once(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let word = fresh_word("zebra");
    stage
        .model
        .when(&word, Reply::Late(&["happy in the morning"], &["sad"]));
    let text = format!("{HAPPY_AND_SAD} {word}.");
    let users = [one.service.user().await, one.service.user().await];
    let written = (0..20).map(|number: usize| users[number % 2].write(&text));
    for diary in join_all(written).await {
        check_model(&diary);
    }
    assert_eq!(stage.model.asked(&word).len(), 1);
    one.app.stop().await;
}

async fn who_waits_for_marks_that_do_not_come_is_not_left_waiting(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Says("Certainly!".into()));
    let text = format!("{HAPPY_AND_SAD} {word}.");
    let user = one.service.user().await;
    for diary in join_all((0..5).map(|_| user.write(&text))).await {
        check_lexicon(&diary);
    }
    stage.model.when(&word, HAPPY);
    check_model(&user.write(&text).await);
    assert_eq!(kept(&one).await.len(), 1, "no sign of who asked is left");
    one.app.stop().await;
}

async fn who_has_waited_long_does_not_ask_as_well(stage: &Stage) {
    let one = stage.new_instance(&[("github_timeout_ms", "900")]).await;
    let word = fresh_word("zebra");
    // Half a second for phrases that are not in the text leaves too little for another try.
    stage.model.when(&word, Reply::Late(&["nowhere"], &[]));
    let text = format!("{HAPPY_AND_SAD} {word}.");
    let user = one.service.user().await;
    for diary in join_all((0..3).map(|_| user.write(&text))).await {
        check_lexicon(&diary);
    }
    assert_eq!(stage.model.asked(&word).len(), 1);
    one.app.stop().await;
}

async fn an_answer_without_marks_is_kept_too(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Phrases(&[], &[]));
    for _ in 0..2 {
        let diary = user.write(&format!("{HAPPY_AND_SAD} {word}.")).await;
        assert_eq!(
            (&diary["analyzed_by"], &diary["sentiment"]),
            (&json!("model"), &json!("neutral"))
        );
    }
    assert_eq!(stage.model.asked(&word).len(), 1);
    instance.app.stop().await;
}

async fn another_model_is_asked_anew(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let (text, word) = text(stage);
    let user = one.service.user().await;
    check_model(&user.write(&text).await);
    // A new token is no new model.
    let cases = [
        ([("github_token", "another")], 1),
        ([("github_model_name", "another/model")], 2),
        ([("github_models_path", "/another/path")], 3),
    ];
    for (changes, times) in cases {
        let other = stage
            .instance(&one.database_url, &one.redis_url, &changes)
            .await;
        check_model(&user.at(&other.service).write(&text).await);
        assert_eq!(stage.model.asked(&word).len(), times, "{changes:?}");
        other.app.stop().await;
    }
    one.app.stop().await;
}

async fn marks_are_kept_for_as_long_as_is_set(stage: &Stage) {
    let instance = stage.new_instance(&[("sentiment_cache_ttl", "2h")]).await;
    let user = instance.service.user().await;
    check_model(&user.write(&text(stage).0).await);
    let kept = kept(&instance).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    for (key, value) in kept {
        let left: i64 = instance.redis().await.pttl(&key).await.expect("a time");
        assert!((7_000_000..=7_200_000).contains(&left), "{left} ms left");
        let digest = key.trim_start_matches("{sentiment}:marks:");
        assert!(digest.len() == 64, "{key}");
        assert_eq!(value, "+6-26 -31-34", "places, and no text");
    }
    instance.app.stop().await;
}

async fn marks_are_not_kept_where_that_is_off(stage: &Stage) {
    let instance = stage.new_instance(&[("sentiment_cache_ttl", "off")]).await;
    let user = instance.service.user().await;
    let (text, word) = text(stage);
    check_model(&user.write(&text).await);
    check_model(&user.write(&text).await);
    assert_eq!(stage.model.asked(&word).len(), 2);
    assert!(kept(&instance).await.is_empty());
    instance.app.stop().await;
}

async fn what_the_lexicon_marks_is_not_kept(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    let (text, word) = text(stage);
    for reply in [Reply::Status(500, None), Reply::Says("Certainly!".into())] {
        stage.model.when(&word, reply);
        check_lexicon(&user.write(&text).await);
    }
    assert!(kept(&instance).await.is_empty());
    stage.model.when(&word, HAPPY);
    check_model(&user.write(&text).await);
    instance.app.stop().await;
}

/// Puts `value` where the marks of a text were kept.
async fn tamper(instance: &Instance, value: &[u8]) {
    let key = kept(instance).await.into_keys().next().expect("marks");
    let mut redis = instance.redis().await;
    let _: () = redis.set(&key, value).await.expect("it is set");
}

async fn kept_nonsense_is_ignored_and_replaced(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    let (text, word) = text(stage);
    let diary = user.write(&text).await;
    let nonsense: [&[u8]; 7] = [
        b"<script>alert(1)</script>",
        b"+0-9999",
        b"-31-34 +6-26",
        b"+6-26 -7-9",
        b"{\"positive\": [\"happy\"]}",
        &[0xff; 40],
        &[b'+'; 100_000],
    ];
    for (number, value) in nonsense.into_iter().enumerate() {
        tamper(&instance, value).await;
        let again = user.write(&text).await;
        assert_eq!(again["analyzed_content"], diary["analyzed_content"]);
        assert_eq!(stage.model.asked(&word).len(), number + 2, "asked again");
        let kept = kept(&instance).await;
        assert_eq!(kept.into_values().collect::<Vec<_>>(), ["+6-26 -31-34"]);
    }
    instance.log_with(&["kept marks made no sense"]).await;
    instance.app.stop().await;
}

async fn write(stage: &Stage, user: &Caller, reply: Reply) -> (Value, usize) {
    let word = fresh_word("zebra");
    stage.model.when(&word, reply);
    let diary = user.write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    (diary, stage.model.asked(&word).len())
}

async fn what_a_server_refuses_is_known_to_all_instances(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let other = stage.instance(&one.database_url, &one.redis_url, &[]).await;
    let plain = || Reply::PlainOnly(&["happy"]);
    let user = one.service.user().await;
    let (diary, asked) = write(stage, &user, plain()).await;
    assert_eq!((&diary["analyzed_by"], asked), (&json!("model"), 3));
    for user in [&user, &user.at(&other.service)] {
        let (diary, asked) = write(stage, user, plain()).await;
        assert_eq!((&diary["analyzed_by"], asked), (&json!("model"), 1));
    }
    // After a day, which this stands for, the server is asked as strictly as at first.
    let mut redis = one.redis().await;
    let keys: Vec<String> = redis.keys("{sentiment}:model:*").await.expect("keys");
    let _: () = redis
        .hset(&keys[0], "dialect_ends", 1)
        .await
        .expect("it is set");
    let (_, asked) = write(stage, &user, plain()).await;
    assert_eq!(asked, 3);
    one.app.stop().await;
    other.app.stop().await;
}

async fn a_silent_redis_costs_only_what_is_kept(stage: &Stage) {
    let (_, redis) = stage.server_addresses();
    let wire = Wire::to(redis).await;
    let before = stage.new_instance(&[]).await;
    let user = before.service.user().await;
    let instance = stage
        .instance(&before.database_url, &wire.over(&before.redis_url), &[])
        .await;
    let user = user.at(&instance.service);
    let (text, word) = text(stage);
    check_model(&user.write(&text).await);
    wire.fall_silent();
    check_model(&user.write(&text).await);
    assert_eq!(stage.model.asked(&word).len(), 2, "nothing is known of it");
    wire.speak();
    before.app.stop().await;
    instance.app.stop().await;
}
