//! Models that fail or misbehave lose no entry and get nothing unsafe into one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::fresh_word;
use crate::model::Reply;
use crate::sentiment::{HAPPY_AND_SAD, analyse, check_lexicon};
use crate::stage::{Instance, MODEL_TOKEN, Stage};

tests![
    a_model_that_answers_with_markup_changes_no_markup,
    a_model_that_talks_nonsense_is_replaced_by_the_lexicon,
    a_model_that_fails_is_replaced_by_the_lexicon,
    a_model_that_never_answers_costs_its_deadline_and_no_entry,
    a_model_whose_answer_never_ends_costs_its_deadline_and_no_entry,
    a_model_that_answers_too_much_is_replaced_by_the_lexicon,
    a_model_out_of_quota_is_left_alone_as_long_as_it_asks,
    a_model_that_is_gone_is_left_alone,
    a_sentiment_component_that_fails_loses_no_entry,
];

async fn a_model_that_answers_with_markup_changes_no_markup(stage: &Stage) {
    let moody = stage.moody().await;
    let script = "<script>alert(1)</script>";
    let replies = [
        Reply::Phrases(
            &["<script>alert(1)</script>", "happy"],
            &["\"><img src=x onerror=alert(1)>"],
        ),
        Reply::Phrases(&["<span class=\"positive\">happy</span>"], &["</span>sad"]),
        Reply::Phrases(&["happy<b>"], &["sad\u{0}", "&lt;sad&gt;", ""]),
        Reply::Says(script.to_owned()),
        Reply::Says(format!(
            "{{\"positive\": [\"{script}\"], \"negative\": [\"{script}\"]}}"
        )),
        Reply::Says(format!(
            "<p>I was <span class=\"positive\">happy</span></p>{script}"
        )),
        Reply::Says(format!(
            "{{\"analyzed_content\": \"{script}\", \"positive_count\": 1000}}"
        )),
    ];
    for reply in replies {
        // The client has checked: the entry's own text, the two spans, nothing else.
        let (diary, word) = analyse(stage, moody, HAPPY_AND_SAD, reply).await;
        assert!(
            !diary["analyzed_content"]
                .as_str()
                .unwrap_or_default()
                .contains("script"),
            "{diary}"
        );
        assert_eq!(
            stage.model.asked(&word).len(),
            1,
            "the model was asked: {diary}"
        );
    }
    // What is in the text may be marked, even where it looks like markup.
    let text = "He wrote <script>alert(1)</script> & was happy";
    let reply = Reply::Phrases(&["<script>alert(1)</script>"], &[]);
    let (diary, _) = analyse(stage, moody, text, reply).await;
    let html = diary["analyzed_content"].as_str().unwrap_or_default();
    assert!(
        html.contains("script") && !html.contains("<script"),
        "{html}"
    );
}

async fn a_model_that_talks_nonsense_is_replaced_by_the_lexicon(stage: &Stage) {
    let moody = stage.moody().await;
    let says = |text: &str| Reply::Says(text.to_owned());
    let choice = |choice: Value| Reply::Choice(choice);
    let whole = json!({"content": "{\"positive\": [\"evening\"], \"negative\": []}"});
    let replies = [
        says("I feel how your day went. Would you like to talk about it?"),
        says(""),
        says("{}"),
        says("[]"),
        says("{\"positive\": \"happy\", \"negative\": 7}"),
        says("{\"positive\": [\"words that are not in the text\"], \"negative\": [\"nor these\"]}"),
        says(&"{".repeat(50_000)),
        says(&"[".repeat(50_000)),
        Reply::Raw("<html>a proxy's page</html>".into()),
        Reply::Raw("".into()),
        Reply::Raw("{}".into()),
        Reply::Raw("null".into()),
        Reply::Raw("{\"choices\": []}".into()),
        Reply::Raw("{\"choices\": {\"0\": 1}}".into()),
        Reply::Raw(vec![0xff; 1000].into()),
        choice(
            json!({"message": {"content": null, "refusal": "I cannot help with that."}, "finish_reason": "stop"}),
        ),
        choice(json!({"message": whole, "finish_reason": "length"})),
        choice(json!({"message": whole, "finish_reason": "content_filter"})),
        choice(json!({"message": null})),
    ];
    for reply in replies {
        let (diary, word) = analyse(stage, moody, HAPPY_AND_SAD, reply).await;
        assert!(
            !stage.model.asked(&word).is_empty(),
            "the model was asked: {diary}"
        );
        check_lexicon(&diary);
    }
}

async fn a_model_that_fails_is_replaced_by_the_lexicon(stage: &Stage) {
    let moody = stage.moody().await;
    let statuses = [500, 502, 503, 429, 400, 422, 418, 301, 204, 413]
        .map(|status| Reply::Status(status, None));
    for reply in statuses.into_iter().chain([Reply::Hangup, Reply::CutOff]) {
        let (diary, word) = analyse(stage, moody, HAPPY_AND_SAD, reply).await;
        assert!(
            !stage.model.asked(&word).is_empty(),
            "the model was asked: {diary}"
        );
        check_lexicon(&diary);
    }
}

/// The deadline of the model is 1.5 seconds here; the rest is for a busy machine.
async fn check_deadline(stage: &Stage, reply: Reply) {
    let moody = stage.moody().await;
    let user = moody.service.user().await;
    let word = fresh_word("zebra");
    stage.model.when(&word, reply);
    let start = Instant::now();
    let diary = user.write(&format!("{HAPPY_AND_SAD} {word}.")).await;
    let waited = start.elapsed();
    check_lexicon(&diary);
    assert!(
        (Duration::from_millis(1400)..Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );
    // Nobody else waits for that.
    let other = moody.service.user().await;
    let path = format!("/diaries/{}", diary["id"]);
    let draft = json!({"content": format!("{HAPPY_AND_SAD} again {word}")});
    let (slow, quick) = tokio::join!(user.put(&path, &draft), async {
        let start = Instant::now();
        other.get("/diaries").await.expect(200);
        start.elapsed()
    });
    check_lexicon(&slow.expect(200).json());
    assert!(quick < Duration::from_millis(1400), "{quick:?}");
}

async fn a_model_that_never_answers_costs_its_deadline_and_no_entry(stage: &Stage) {
    check_deadline(stage, Reply::Never).await;
}

async fn a_model_whose_answer_never_ends_costs_its_deadline_and_no_entry(stage: &Stage) {
    check_deadline(stage, Reply::Endless).await;
}

async fn a_model_that_answers_too_much_is_replaced_by_the_lexicon(stage: &Stage) {
    let phrases = vec!["happy"; 500_000];
    let much = json!({"positive": phrases, "negative": []}).to_string();
    let (diary, _) = analyse(stage, stage.moody().await, HAPPY_AND_SAD, Reply::Says(much)).await;
    check_lexicon(&diary);
}

/// Writes entries one after another, so that they meet the same instance of the component; gives how often the model was asked.
async fn write_ten(stage: &Stage, instance: &Instance, word: &str) -> usize {
    let user = instance.service.user().await;
    for _ in 0..10 {
        check_lexicon(&user.write(&format!("{HAPPY_AND_SAD} {word}.")).await);
    }
    stage.model.asked(word).len()
}

async fn a_model_out_of_quota_is_left_alone_as_long_as_it_asks(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    let word = fresh_word("zebra");
    stage.model.when(&word, Reply::Status(429, Some(2)));
    let asked = write_ten(stage, &instance, &word).await;
    assert!(
        (1..=3).contains(&asked),
        "asked {asked} times for 10 entries within two seconds"
    );
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (diary, _) = analyse(
        stage,
        &instance,
        "Then it was lovely again",
        Reply::Phrases(&["lovely"], &[]),
    )
    .await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
    instance.app.stop().await;
}

async fn a_model_that_is_gone_is_left_alone(stage: &Stage) {
    let instance = stage.new_instance(&[]).await;
    for status in [410, 401] {
        let word = fresh_word("zebra");
        stage.model.when(&word, Reply::Status(status, None));
        let asked = write_ten(stage, &instance, &word).await;
        assert!(asked <= 3, "asked {asked} times for 10 entries");
        assert!(status != 410 || asked >= 1, "it is asked once");
    }
    let log = instance.app.log();
    assert!(
        log.contains("github_token"),
        "the log says what to look at: {log}"
    );
    assert!(
        !log.contains(MODEL_TOKEN) && !log.contains("the stand-in fails"),
        "{log}"
    );
    instance.app.stop().await;
}

async fn a_sentiment_component_that_fails_loses_no_entry(stage: &Stage) {
    let instance = stage
        .new_instance(&[("github_auth_style", "handshake")])
        .await;
    let (diary, _) = analyse(
        stage,
        &instance,
        "A <lovely> day",
        Reply::Phrases(&["lovely"], &[]),
    )
    .await;
    assert_eq!(
        (&diary["analyzed_by"], &diary["sentiment"]),
        (&json!(null), &json!("neutral"))
    );
    assert!(instance.app.log().contains("github_auth_style"));
    assert!(!instance.app.log().contains("handshake"));
    instance.app.stop().await;
}
