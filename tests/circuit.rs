//! When the model is left alone, by all instances of the service, and when it is asked again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use redis::AsyncCommands;

use crate::client::{Caller, fresh_word};
use crate::model::{Exact, Reply};
use crate::sentiment::{HAPPY_AND_SAD, analyse, check_lexicon};
use crate::stage::{Instance, MODEL_TOKEN, Stage};

tests![
    failures_in_a_row_have_all_instances_leave_the_model_alone,
    answers_of_no_use_are_no_failures,
    one_trial_that_succeeds_closes_the_circuit,
    a_trial_that_fails_doubles_the_pause,
    a_model_out_of_quota_is_left_alone_as_long_as_it_asks,
    a_model_may_say_until_when_it_is_to_be_left_alone,
    a_model_that_is_gone_is_left_alone_with_one_line_in_the_log,
    another_token_is_tried_at_once,
    without_redis_each_instance_leaves_the_model_alone,
];

/// Two instances of the service over the same servers.
async fn two(stage: &Stage) -> (Instance, Instance) {
    let one = stage.new_instance(&[]).await;
    let other = stage.instance(&one.database_url, &one.redis_url, &[]).await;
    (one, other)
}

/// Writes an entry about which the model replies in this way; gives how often it was asked.
async fn asked(stage: &Stage, user: &Caller, reply: Reply) -> usize {
    let word = fresh_word("zebra");
    stage.model.when(&word, reply);
    check_lexicon(&user.write(&format!("{HAPPY_AND_SAD} {word}.")).await);
    stage.model.asked(&word).len()
}

async fn open_the_circuit(stage: &Stage, user: &Caller) {
    for _ in 0..3 {
        assert_eq!(asked(stage, user, Reply::Status(500, None)).await, 1);
    }
}

/// What all instances know about the model.
async fn key(instance: &Instance) -> String {
    let mut redis = instance.redis().await;
    let keys: Vec<String> = redis.keys("{sentiment}:model:*").await.expect("keys");
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].clone()
}

/// Unix time in milliseconds until which the model is left alone, or how long its pause is.
async fn number(instance: &Instance, field: &str) -> Option<i64> {
    let mut redis = instance.redis().await;
    let value = redis.hget(key(instance).await, field).await;
    value.expect("a number or nothing")
}

/// Ends the pause, as waiting would.
async fn end_the_pause(instance: &Instance) {
    let key = key(instance).await;
    let mut redis = instance.redis().await;
    let changed: i32 = redis.hset(&key, "pause_ends", 1).await.expect("it is set");
    assert_eq!(changed, 0, "there was a pause");
}

async fn failures_in_a_row_have_all_instances_leave_the_model_alone(stage: &Stage) {
    let (one, other) = two(stage).await;
    let user = one.service.user().await;
    let at_other = user.at(&other.service);
    assert_eq!(asked(stage, &user, Reply::Status(500, None)).await, 1);
    assert_eq!(asked(stage, &at_other, Reply::Hangup).await, 1);
    assert_eq!(asked(stage, &user, Reply::Status(503, None)).await, 1);
    for user in [&user, &at_other, &user, &at_other] {
        let lovely = Reply::Phrases(&["morning"], &[]);
        assert_eq!(asked(stage, user, lovely).await, 0, "it is left alone");
    }
    assert_eq!(number(&one, "pause").await, Some(10_000));
    let log = one.log_with(&["takes over for 10 s"]).await + &other.app.log();
    assert_eq!(log.matches("takes over for 10 s").count(), 1, "{log}");
    let mut redis = one.redis().await;
    let left: i64 = redis.pttl(key(&one).await).await.expect("a time");
    assert!(left > 0, "it is forgotten in the end");
    one.app.stop().await;
    other.app.stop().await;
}

async fn answers_of_no_use_are_no_failures(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    for _ in 0..3 {
        let replies = [
            Reply::Status(500, None),
            Reply::Status(500, None),
            Reply::Says("Certainly!".into()),
            Reply::Status(400, None),
        ];
        for reply in replies {
            assert_eq!(asked(stage, &user, reply).await, 1);
        }
    }
    instance.app.stop().await;
}

async fn one_trial_that_succeeds_closes_the_circuit(stage: &Stage) {
    let (one, other) = two(stage).await;
    let user = one.service.user().await;
    open_the_circuit(stage, &user).await;
    end_the_pause(&one).await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Late(&["morning"], &[]));
    let at_other = user.at(&other.service);
    let writes = (0..12).map(|number| {
        let user = if number % 2 == 0 { &user } else { &at_other };
        let text = format!("{HAPPY_AND_SAD} {word} {number}.");
        async move { user.write(&text).await }
    });
    let diaries = join_all(writes).await;
    let by_model = diaries
        .iter()
        .filter(|diary| diary["analyzed_by"] == "model");
    assert_eq!(by_model.count(), 1);
    assert_eq!(
        stage.model.asked(&word).len(),
        1,
        "nobody waited but the trial"
    );
    for instance in [&one, &other] {
        let reply = Reply::Phrases(&["morning"], &[]);
        let (diary, _) = analyse(stage, instance, HAPPY_AND_SAD, reply).await;
        assert_eq!(diary["analyzed_by"], "model", "all ask again");
    }
    one.app.stop().await;
    other.app.stop().await;
}

async fn a_trial_that_fails_doubles_the_pause(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    open_the_circuit(stage, &user).await;
    for pause in [20_000, 40_000, 80_000, 120_000, 120_000] {
        end_the_pause(&instance).await;
        assert_eq!(asked(stage, &user, Reply::Hangup).await, 1, "the trial");
        assert_eq!(asked(stage, &user, Reply::Hangup).await, 0);
        assert_eq!(number(&instance, "pause").await, Some(pause));
    }
    instance.app.stop().await;
}

async fn a_model_out_of_quota_is_left_alone_as_long_as_it_asks(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    let quota = || Reply::Status(429, Some(2));
    assert_eq!(asked(stage, &user, quota()).await, 1);
    assert_eq!(asked(stage, &user, quota()).await, 0);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let reply = Reply::Phrases(&["lovely"], &[]);
    let (diary, _) = analyse(stage, &instance, "Then it was lovely again", reply).await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
    instance.app.stop().await;
}

async fn a_model_may_say_until_when_it_is_to_be_left_alone(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let user = instance.service.user().await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    for (wait, status) in [(3600, 503), (7 * 86_400, 429)] {
        instance.forget_models().await;
        let until = now.as_secs() as i64 + wait;
        let date: DateTime<Utc> = DateTime::from_timestamp(until, 0).expect("a date");
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let reply = Exact(status, vec![("retry-after", date)], "".into());
        assert_eq!(asked(stage, &user, Reply::Exactly(reply.clone())).await, 1);
        assert_eq!(asked(stage, &user, Reply::Exactly(reply)).await, 0);
        let ends = number(&instance, "pause_ends").await.expect("a pause");
        // A day at most; some seconds are for a busy machine.
        let expected = now.as_secs() as i64 + wait.min(86_400);
        assert!((ends / 1000 - expected).abs() < 20, "{ends} for {expected}");
    }
    instance.app.stop().await;
}

async fn a_model_that_is_gone_is_left_alone_with_one_line_in_the_log(stage: &Stage) {
    for status in [401, 403, 404, 410] {
        let (one, other) = two(stage).await;
        let user = one.service.user().await;
        let gone = || Reply::Status(status, None);
        assert_eq!(asked(stage, &user, gone()).await, 1, "it is asked once");
        for user in [&user, &user.at(&other.service), &user] {
            assert_eq!(asked(stage, user, gone()).await, 0, "{status}");
        }
        let log = one.log_with(&["\"error\"", "github_token"]).await + &other.app.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("\"component\":\"sentiment\""))
            .collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("github_token") && lines[0].contains("\"level\":\"error\""),
            "it says what to look at: {lines:?}"
        );
        assert!(
            !log.contains(MODEL_TOKEN) && !log.contains("the stand-in fails"),
            "{log}"
        );
        one.app.stop().await;
        other.app.stop().await;
    }
}

async fn another_token_is_tried_at_once(stage: &Stage) {
    let one = stage.new_instance(&[]).await;
    let user = one.service.user().await;
    assert_eq!(asked(stage, &user, Reply::Status(401, None)).await, 1);
    assert_eq!(asked(stage, &user, Reply::Status(401, None)).await, 0);
    let changes = [("github_token", "the right one")];
    let mended = stage
        .instance(&one.database_url, &one.redis_url, &changes)
        .await;
    let reply = Reply::Phrases(&["lovely"], &[]);
    let (diary, _) = analyse(stage, &mended, "A lovely day", reply).await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
    one.app.stop().await;
    mended.app.stop().await;
}

async fn without_redis_each_instance_leaves_the_model_alone(stage: &Stage) {
    let changes = [("register_limit", "off"), ("login_limit", "off")];
    let before = stage.new_instance(&changes).await;
    let user = before.service.user().await;
    // Nobody listens there.
    let nowhere = "redis://127.0.0.1:1/0";
    let instance = stage
        .instance(&before.database_url, nowhere, &changes)
        .await;
    let user = user.at(&instance.service);
    let mut times = 0;
    for _ in 0..12 {
        times += asked(stage, &user, Reply::Status(500, None)).await;
    }
    // One after another they meet the same instance of the component, or a second one that knows nothing yet.
    assert!((3..=6).contains(&times), "asked {times} times");
    before.app.stop().await;
    instance.app.stop().await;
}
