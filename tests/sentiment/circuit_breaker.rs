//! The circuit breaker: when all instances stop asking the model, and when they ask again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use macro_rules_attribute::apply;
use tokio::sync::Notify;

use crate::support::analysis::{
    HAPPY_AND_SAD, analyze, assert_by_lexicon, assert_by_model, create_happy_and_sad, happy_and_sad,
};
use crate::support::client::Client;
use crate::support::env::{MODEL_TOKEN, TestEnv};
use crate::support::instance::Instance;
use crate::support::model_server::{HttpReply, Reply};
use crate::support::registry::e2e_test;

const MORNING: Reply = Reply::Phrases(&["morning"], &[]);

fn status(status: u16) -> Reply {
    Reply::Status(status, None)
}

async fn start_two(env: &TestEnv) -> (Instance, Instance) {
    let one = env.start_instance(&[]).await;
    let replica = env.start_replica(&one, &[]).await;
    (one, replica)
}

/// Creates an entry that the lexicon has to analyze. Returns how many requests the model received.
async fn requests_with(env: &TestEnv, user: &Client, reply: Reply) -> usize {
    let (entry, word) = create_happy_and_sad(env, user, reply).await;
    assert_by_lexicon(&entry);
    env.model.request_count(&word)
}

/// Fails unless an instance asks the model.
async fn assert_closed(env: &TestEnv, instance: &Instance) {
    let (entry, _) = analyze(env, instance, HAPPY_AND_SAD, MORNING).await;
    assert_by_model(&entry, &[("positive", "morning")]);
}

/// Lets the model fail on texts of three users, one after the other.
async fn open_circuit(env: &TestEnv, instance: &Instance) {
    for _ in 0..3 {
        let user = instance.user().await;
        assert_eq!(requests_with(env, &user, status(500)).await, 1);
    }
}

#[apply(e2e_test!)]
async fn opens_for_all_instances_after_failures_of_3_users_in_a_row(env: &TestEnv) {
    let (one, replica) = start_two(env).await;
    for (instance, reply) in [
        (&one, status(500)),
        (&replica, Reply::CloseConnection),
        (&one, status(503)),
    ] {
        let user = instance.user().await;
        assert_eq!(requests_with(env, &user, reply).await, 1);
    }
    let user = one.user().await;
    let on_replica = user.on(&replica.service);
    for user in [&user, &on_replica, &user, &on_replica] {
        assert_eq!(requests_with(env, user, MORNING).await, 0);
    }
    assert_eq!(one.model_state().await.backoff, Some(10_000));
    // One instance logs it, once.
    let log = one.wait_for_log(&["\"sentiment\"", "10 s"]).await + &replica.app.log();
    assert_eq!(log.matches("10 s").count(), 1, "{log}");
    assert!(one.model_state_ttl().await > 0, "Redis forgets it at last");
}

#[apply(e2e_test!)]
async fn stays_closed_when_the_server_responds_in_between(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    for _ in 0..3 {
        let replies = [
            status(500),
            status(500),
            Reply::Message("Certainly!".into()),
            status(400),
        ];
        for reply in replies {
            assert_eq!(requests_with(env, &user, reply).await, 1);
        }
    }
}

#[apply(e2e_test!)]
async fn closes_after_one_successful_trial(env: &TestEnv) {
    // The trial lasts until all other requests have been answered.
    let settings = [("github_timeout_ms", "15000")];
    let one = env.start_instance(&settings).await;
    let replica = env.start_replica(&one, &settings).await;
    let user = one.user().await;
    open_circuit(env, &one).await;
    one.end_open_period().await;
    let end_of_trial = Arc::new(Notify::new());
    let reply = Reply::PhrasesAfter(end_of_trial.clone(), &["morning"], &[]);
    let (text, word) = happy_and_sad(env, reply);
    let others = async {
        while env.model.request_count(&word) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let users = [&user, &user.on(&replica.service)];
        let create = |number: usize| requests_with(env, users[number % 2], MORNING);
        assert_eq!(join_all((0..12).map(create)).await, [0; 12]);
        end_of_trial.notify_one();
    };
    let (entry, ()) = tokio::join!(user.create_entry(&text), others);
    assert_by_model(&entry, &[("positive", "morning")]);
    assert_eq!(env.model.request_count(&word), 1, "only the trial");
    for instance in [&one, &replica] {
        assert_closed(env, instance).await;
    }
}

#[apply(e2e_test!)]
async fn doubles_the_backoff_with_each_failed_trial(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    open_circuit(env, &instance).await;
    for backoff in [20_000, 40_000, 80_000, 120_000, 120_000] {
        instance.end_open_period().await;
        for requests in [1, 0] {
            let closed = Reply::CloseConnection;
            assert_eq!(requests_with(env, &user, closed).await, requests);
        }
        assert_eq!(instance.model_state().await.backoff, Some(backoff));
    }
}

#[apply(e2e_test!)]
async fn obeys_retry_after_in_seconds(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    for requests in [1, 0] {
        let quota_exceeded = Reply::Status(429, Some(2));
        assert_eq!(requests_with(env, &user, quota_exceeded).await, requests);
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_closed(env, &instance).await;
}

#[apply(e2e_test!)]
async fn obeys_retry_after_as_a_date_for_at_most_a_day(env: &TestEnv) {
    const DAY: i64 = 86_400;
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    for (wait, status) in [(3600, 503), (7 * DAY, 429)] {
        instance.reset_model_state().await;
        let now = Utc::now().timestamp();
        let date = DateTime::from_timestamp(now + wait, 0).expect("a date");
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let reply = HttpReply(status, vec![("retry-after", date)], "".into());
        for requests in [1, 0] {
            let reply = Reply::Http(reply.clone());
            assert_eq!(requests_with(env, &user, reply).await, requests);
        }
        let open_until = instance.model_state().await.open_until;
        let open_for = open_until.expect("the circuit is open") / 1000 - now;
        // A busy machine takes some seconds to get here.
        let difference = (open_for - wait.min(DAY)).abs();
        assert!(difference < 20, "{open_for} s for {wait} s");
    }
}

#[apply(e2e_test!)]
async fn opens_with_one_log_line_when_the_model_is_misconfigured(env: &TestEnv) {
    for code in [401, 403, 404, 410] {
        let (one, replica) = start_two(env).await;
        let user = one.user().await;
        assert_eq!(requests_with(env, &user, status(code)).await, 1);
        for user in [&user, &user.on(&replica.service), &user] {
            assert_eq!(requests_with(env, user, status(code)).await, 0, "{code}");
        }
        // The line names the setting to correct.
        let parts = ["\"level\":\"error\"", "github_token"];
        let log = one.wait_for_log(&parts).await + &replica.app.log();
        let component = "\"component\":\"sentiment\"";
        assert_eq!(log.matches(component).count(), 1, "{log}");
        assert!(!log.contains(MODEL_TOKEN), "{log}");
        assert!(!log.contains("the stand-in fails"), "{log}");
    }
}

#[apply(e2e_test!)]
async fn is_separate_for_each_token(env: &TestEnv) {
    let one = env.start_instance(&[]).await;
    let user = one.user().await;
    for requests in [1, 0] {
        assert_eq!(requests_with(env, &user, status(401)).await, requests);
    }
    let settings = [("github_token", "the right one")];
    let corrected = env.start_replica(&one, &settings).await;
    assert_closed(env, &corrected).await;
}

#[apply(e2e_test!)]
async fn repeats_a_trial_without_a_result(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    open_circuit(env, &instance).await;
    instance.end_open_period().await;
    // A trial of another instance, which has lasted for its whole time and never reported its result.
    const FAR_FUTURE: i64 = 4_000_000_000_000;
    instance.set_trial_until(FAR_FUTURE).await;
    assert_eq!(
        requests_with(env, &user, MORNING).await,
        0,
        "one trial at a time"
    );
    instance.set_trial_until(1).await;
    assert_closed(env, &instance).await;
}

#[apply(e2e_test!)]
async fn stays_open_after_the_success_of_a_call_from_before_it_opened(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let delayed = Reply::DelayedPhrases(&["morning"], &[]);
    let (text, word) = happy_and_sad(env, delayed);
    let others = [
        instance.user().await,
        instance.user().await,
        instance.user().await,
    ];
    let failures = async {
        while env.model.request_count(&word) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let failing = others
            .iter()
            .map(|user| create_happy_and_sad(env, user, status(500)));
        join_all(failing).await;
        assert!(instance.model_state().await.open_until.is_some());
    };
    let (entry, ()) = tokio::join!(user.create_entry(&text), failures);
    assert_by_model(&entry, &[("positive", "morning")]);
    assert_eq!(requests_with(env, &user, MORNING).await, 0);
}

/// A user whose texts are too long for the model, for example, must not take it from the others.
#[apply(e2e_test!)]
async fn stays_closed_for_others_when_one_user_s_texts_time_out(env: &TestEnv) {
    let (one, replica) = start_two(env).await;
    let user = one.user().await;
    let on_replica = user.on(&replica.service);
    for user in [&user, &on_replica, &user] {
        assert_eq!(requests_with(env, user, Reply::NoResponse).await, 1);
    }
    let state = one.model_state().await;
    assert_eq!((state.failures, state.open_until), (Some(1), None));
    for instance in [&one, &replica] {
        assert_closed(env, instance).await;
    }
    // The user's own entries do not wait for the model for 10 seconds, and the sweep calls it later.
    for user in [&user, &on_replica] {
        assert_eq!(requests_with(env, user, MORNING).await, 0);
    }
    let line = ["lexicon takes over for this user", "10 s"];
    let log = one.wait_for_log(&line).await + &replica.app.log();
    assert_eq!(log.matches(line[0]).count(), 1, "{log}");
}

#[apply(e2e_test!)]
async fn ends_the_pause_of_a_user_with_a_success_and_doubles_it_with_a_failure(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    for pause in [0, 0, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000] {
        instance.end_user_pauses().await;
        assert_eq!(requests_with(env, &user, status(500)).await, 1);
        let paused_for = instance.longest_user_pause().await;
        let expected = (pause - 5_000).max(0)..=pause;
        assert!(expected.contains(&paused_for), "{paused_for} of {pause}");
    }
    instance.end_user_pauses().await;
    let (entry, _) = create_happy_and_sad(env, &user, MORNING).await;
    assert_by_model(&entry, &[("positive", "morning")]);
    for _ in 0..2 {
        assert_eq!(requests_with(env, &user, status(500)).await, 1);
    }
    assert_eq!(instance.longest_user_pause().await, 0);
}

/// Such a text would open the circuit again and again, although the model works for all others.
#[apply(e2e_test!)]
async fn sends_no_trial_about_a_text_that_just_timed_out(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let slow = [
        instance.user().await,
        instance.user().await,
        instance.user().await,
    ];
    let creations = slow
        .iter()
        .map(|user| create_happy_and_sad(env, user, Reply::NoResponse));
    let timed_out = join_all(creations).await;
    assert!(instance.model_state().await.open_until.is_some());
    instance.end_open_period().await;
    for (user, (entry, word)) in slow.iter().zip(&timed_out) {
        let analyzed = user.analyze_entry(entry).await.expect_status(200);
        assert_by_lexicon(&analyzed.json());
        assert_eq!(env.model.request_count(word), 1, "no trial");
    }
    // Another text gets the trial, and then the model is called for the slow ones as well.
    assert_closed(env, &instance).await;
    let (entry, word) = &timed_out[0];
    env.model.set_reply(word, MORNING);
    let analyzed = slow[0].analyze_entry(entry).await.expect_status(200);
    assert_by_model(&analyzed.json(), &[("positive", "morning")]);
}

/// The state of the circuit breaker is in Redis only. Without it, an instance cannot know whether the model is down.
#[apply(e2e_test!)]
async fn does_not_call_the_model_while_redis_is_unreachable(env: &TestEnv) {
    let database_url = env.new_migrated_database().await;
    let redis_url = env.new_redis_database();
    let direct = env.start_instance_on(&database_url, &redis_url, &[]).await;
    // Nothing listens on this port.
    let unreachable = "redis://127.0.0.1:1/0";
    let instance = env.start_instance_on(&database_url, unreachable, &[]).await;
    let user = direct.user().await.on(&instance.service);
    for _ in 0..3 {
        assert_eq!(requests_with(env, &user, MORNING).await, 0);
    }
    instance
        .wait_for_log(&["\"level\":\"warn\"", "Redis"])
        .await;
    assert_eq!(user.waiting_entries().await, 3, "the sweep calls it later");
}
