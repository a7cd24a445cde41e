//! Entries that the model failed on are analysed later: by `POST /diaries/{id}/analyze`, and by the sweep.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::{Answer, Caller, fresh_word};
use crate::model::Reply;
use crate::sentiment::{HAPPY_AND_SAD, check_lexicon};
use crate::stage::{Instance, SWEEP_TOKEN, Stage};

tests![
    a_failed_analysis_is_made_up_for_on_request,
    a_new_analysis_that_fails_takes_no_marks_away,
    only_own_entries_are_analysed_again,
    the_sweep_is_not_there_without_its_token,
    the_sweep_makes_up_for_failed_analyses,
    the_sweep_stops_where_the_model_is_of_no_use,
    the_sweep_leaves_a_text_alone_that_the_model_cannot_deal_with,
    the_sweep_leaves_entries_alone_that_were_changed_meanwhile,
    sweeps_at_once_take_each_entry_once,
    entries_from_before_there_was_a_model_are_swept,
];

async fn instance(stage: &Stage) -> Instance {
    stage.new_instance(&[]).await
}

async fn sweep(instance: &Instance) -> Value {
    let anonymous = instance.service.anonymous();
    let call = anonymous.call(http::Method::POST, "/internal/sweep");
    call.bearer(SWEEP_TOKEN).send().await.expect(200).json()
}

fn swept(analyzed: usize, waiting: usize) -> Value {
    json!({"analyzed": analyzed, "waiting": waiting})
}

async fn waiting(instance: &Instance) -> Value {
    let ready = instance.service.anonymous().get("/ready").await;
    ready.expect(200).json()["analysis"]["waiting"].clone()
}

/// Writes an entry that the model talks nonsense about. Gives it and the word that tells it apart.
async fn fall_back(stage: &Stage, user: &Caller) -> (Value, String) {
    let word = fresh_word("heron");
    stage.model.when(&word, Reply::Says("Certainly!".into()));
    let diary = user.write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    check_lexicon(&diary);
    (diary, word)
}

async fn analyze(user: &Caller, diary: &Value) -> Answer {
    let path = format!("/diaries/{}/analyze", diary["id"]);
    user.call(http::Method::POST, &path).send().await
}

async fn read(user: &Caller, diary: &Value) -> Value {
    let path = format!("/diaries/{}", diary["id"]);
    user.get(&path).await.expect(200).json()
}

#[track_caller]
fn check_model(diary: &Value, was: &Value) {
    assert_eq!(
        (
            &diary["analyzed_by"],
            &diary["sentiment"],
            &diary["positive_count"]
        ),
        (&json!("model"), &json!("positive"), &json!(1)),
        "{diary}"
    );
    for same in ["id", "content", "created_at", "updated_at"] {
        assert_eq!(diary[same], was[same], "{same}");
    }
}

const HAPPY: Reply = Reply::Phrases(&["happy"], &[]);

async fn a_failed_analysis_is_made_up_for_on_request(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let (diary, word) = fall_back(stage, &user).await;
    assert_eq!(waiting(&instance).await, 1);
    check_lexicon(&analyze(&user, &diary).await.expect(200).json());
    stage.model.when(&word, HAPPY);
    let analyzed = analyze(&user, &diary).await.expect(200).json();
    check_model(&analyzed, &diary);
    assert_eq!(read(&user, &diary).await, analyzed);
    let stats = user.get("/diaries/stats").await.expect(200).json();
    assert_eq!(
        (&stats["positive_entries"], &stats["neutral_entries"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(waiting(&instance).await, 0);
}

async fn a_new_analysis_that_fails_takes_no_marks_away(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let word = fresh_word("heron");
    stage.model.when(&word, HAPPY);
    let diary = user.write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    // Another Redis knows nothing of what the model said before.
    let other = stage
        .instance(&instance.database_url, &stage.fresh_redis(), &[])
        .await;
    stage.model.when(&word, Reply::Says("Certainly!".into()));
    let analyzed = analyze(&user.at(&other.service), &diary).await;
    assert_eq!(analyzed.expect(200).json(), diary);
    assert_eq!(stage.model.asked(&word).len(), 2, "it was asked again");
    assert_eq!(waiting(&instance).await, 0);
}

async fn only_own_entries_are_analysed_again(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let other = stage.shared.service.user().await;
    let diary = user.write("A lovely day at the lake.").await;
    analyze(&other, &diary).await.expect_error(403, "forbidden");
    analyze(&user, &json!({"id": i32::MAX}))
        .await
        .expect_error(404, "not_found");
    analyze(&user, &json!({"id": "x"}))
        .await
        .expect_error(404, "not_found");
    analyze(&stage.shared.service.anonymous(), &diary)
        .await
        .expect_error(401, "unauthorized");
    let path = format!("/diaries/{}/analyze", diary["id"]);
    let answer = user.get(&path).await;
    let answer = answer.expect_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    user.call(http::Method::POST, "/auth/logout")
        .send()
        .await
        .expect(200);
    analyze(&user, &diary)
        .await
        .expect_error(401, "token_revoked");
}

async fn the_sweep_is_not_there_without_its_token(stage: &Stage) {
    let post = |instance: &Instance| {
        let anonymous = instance.service.anonymous();
        anonymous.call(http::Method::POST, "/internal/sweep")
    };
    let without = stage.new_instance(&[("sweep_token", "")]).await;
    let off = post(&without).bearer(SWEEP_TOKEN).send().await;
    off.expect_error(404, "not_found");
    let instance = instance(stage).await;
    post(&instance)
        .send()
        .await
        .expect_error(401, "unauthorized");
    for wrong in ["", "sweep", &format!("{SWEEP_TOKEN}x")] {
        let answer = post(&instance).bearer(wrong).send().await;
        assert_eq!(
            answer.expect(401).header("www-authenticate"),
            Some("Bearer")
        );
    }
    let user = instance.service.user().await;
    let access_token = &user.login().access_token;
    post(&instance)
        .bearer(access_token)
        .send()
        .await
        .expect_error(401, "token_invalid");
    let answer = instance.service.anonymous().get("/internal/sweep").await;
    answer.expect_error(405, "method_not_allowed");
    assert_eq!(sweep(&instance).await, swept(0, 0));
}

async fn the_sweep_makes_up_for_failed_analyses(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let mut entries = Vec::new();
    for _ in 0..3 {
        entries.push(fall_back(stage, &user).await);
    }
    let marked = user.write("A lovely day that the model marks.").await;
    assert_eq!(waiting(&instance).await, 3);
    for (_, word) in &entries {
        stage.model.when(word, HAPPY);
    }
    assert_eq!(sweep(&instance).await, swept(3, 0));
    for (diary, _) in &entries {
        check_model(&read(&user, diary).await, diary);
    }
    assert_eq!(read(&user, &marked).await, marked);
    let stats = user.get("/diaries/stats").await.expect(200).json();
    assert_eq!(
        stats,
        json!({"total_entries": 4, "positive_entries": 4, "negative_entries": 0, "neutral_entries": 0})
    );
    assert_eq!(sweep(&instance).await, swept(0, 0));
    let line = "the sweep had 3 entries analysed; 0 wait";
    instance.log_with(&[line]).await;
}

async fn the_sweep_stops_where_the_model_is_of_no_use(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let mut words = Vec::new();
    for _ in 0..20 {
        words.push(fall_back(stage, &user).await.1);
    }
    for word in &words {
        stage.model.when(word, Reply::Status(403, None));
    }
    assert_eq!(sweep(&instance).await, swept(0, 20));
    let asked = words.iter().map(|word| stage.model.asked(word).len() - 1);
    assert!(asked.sum::<usize>() <= 8, "one batch at most");
}

async fn the_sweep_leaves_a_text_alone_that_the_model_cannot_deal_with(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let (_, word) = fall_back(stage, &user).await;
    assert_eq!(sweep(&instance).await, swept(0, 1));
    assert_eq!(sweep(&instance).await, swept(0, 1));
    assert_eq!(stage.model.asked(&word).len(), 2, "not again so soon");
}

async fn the_sweep_leaves_entries_alone_that_were_changed_meanwhile(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let (diary, word) = fall_back(stage, &user).await;
    stage.model.when(&word, Reply::Late(&["happy"], &[]));
    let change = async {
        while stage.model.asked(&word).len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let path = format!("/diaries/{}", diary["id"]);
        let content = json!({"content": "Quite another text, and lovely."});
        user.put(&path, &content).await.expect(200).json()
    };
    let (changed, swept_meanwhile) = tokio::join!(change, sweep(&instance));
    assert_eq!(swept_meanwhile, swept(0, 0));
    assert_eq!(changed["analyzed_by"], "model");
    assert_eq!(read(&user, &diary).await, changed);
}

async fn sweeps_at_once_take_each_entry_once(stage: &Stage) {
    let instance = instance(stage).await;
    let user = instance.service.user().await;
    let entries = join_all((0..24).map(|_| fall_back(stage, &user))).await;
    for (_, word) in &entries {
        stage.model.when(word, Reply::Late(&["happy"], &[]));
    }
    let sweeps = join_all((0..3).map(|_| sweep(&instance))).await;
    let analyzed = sweeps.iter().map(|swept| swept["analyzed"].as_u64());
    assert_eq!(analyzed.sum::<Option<u64>>(), Some(24), "{sweeps:?}");
    for (diary, word) in &entries {
        assert_eq!(
            stage.model.asked(word).len(),
            2,
            "once when written, once when swept"
        );
        check_model(&read(&user, diary).await, diary);
    }
}

async fn entries_from_before_there_was_a_model_are_swept(stage: &Stage) {
    let before = stage.new_instance(&[("github_token", "")]).await;
    let user = before.service.user().await;
    let diary = user.write("It was lovely at the lake.").await;
    assert_eq!(diary["analyzed_by"], "lexicon");
    assert_eq!(waiting(&before).await, 0, "there is nothing to wait for");
    let after = stage
        .instance(&before.database_url, &before.redis_url, &[])
        .await;
    assert_eq!(sweep(&after).await, swept(1, 0));
    check_model(&read(&user, &diary).await, &diary);
}
