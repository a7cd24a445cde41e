//! What the model answers becomes marks in the original text; without a model the built-in lexicon makes them.

use serde_json::{Value, json};

use crate::client::fresh_word;
use crate::html::{Marked, read};
use crate::model::Reply;
use crate::stage::{Instance, MODEL_TOKEN, Stage};

tests![
    the_model_marks_phrases_in_the_original_text,
    the_model_is_asked_with_the_token_and_the_configured_name,
    repeated_and_overlapping_phrases_are_marked_once_each,
    an_entry_without_feelings_has_no_marks,
    without_a_token_the_lexicon_marks,
    the_lexicon_understands_negation,
    answers_in_fences_and_prose_are_read,
    a_server_that_takes_no_response_format_is_asked_without,
    the_api_key_style_uses_its_own_header,
];

/// Has an entry analysed by an instance whose model replies to it in this way. Gives the diary and the word that tells it apart.
pub async fn analyse(
    stage: &Stage,
    instance: &Instance,
    beginning: &str,
    reply: Reply,
) -> (Value, String) {
    let word = fresh_word("zebra");
    stage.model.when(&word, reply);
    let user = instance.service.user().await;
    let diary = user.write(&format!("{beginning} {word}.")).await;
    assert_eq!(
        user.get("/diaries").await.expect(200).json()["items"],
        json!([diary]),
        "it is stored as it was shown"
    );
    (diary, word)
}

#[track_caller]
fn marks(diary: &Value) -> Marked {
    read(diary["analyzed_content"].as_str().expect("a string")).expect("only the two spans")
}

/// Fails unless the lexicon marked an entry that says "happy" and "sad".
#[track_caller]
pub fn check_lexicon(diary: &Value) {
    assert_eq!(diary["analyzed_by"], "lexicon", "{diary}");
    let marked = marks(diary);
    assert!(
        marked
            .of("positive")
            .iter()
            .any(|phrase| phrase.contains("happy")),
        "{diary}"
    );
    assert!(
        marked
            .of("negative")
            .iter()
            .any(|phrase| phrase.contains("sad")),
        "{diary}"
    );
}

/// Says both, so that the lexicon marks both.
pub const HAPPY_AND_SAD: &str = "I was happy in the morning and sad in the evening,";

async fn the_model_marks_phrases_in_the_original_text(stage: &Stage) {
    let reply = Reply::Phrases(&["over the moon", "Best Friend"], &["missed the bus"]);
    let text = "I was over the moon & <hugged> my best friend, then missed the bus";
    let (diary, word) = analyse(stage, &stage.shared, text, reply).await;
    assert_eq!(diary["analyzed_by"], "model");
    let expected = format!(
        "I was <span class=\"positive\">over the moon</span> &amp; &lt;hugged&gt; my \
         <span class=\"positive\">best friend</span>, then <span class=\"negative\">missed the bus</span> {word}."
    );
    assert_eq!(diary["analyzed_content"], expected);
    assert_eq!(diary["sentiment"], "positive");
}

async fn the_model_is_asked_with_the_token_and_the_configured_name(stage: &Stage) {
    let (_, word) = analyse(
        stage,
        &stage.shared,
        "A lovely day",
        Reply::Phrases(&["lovely"], &[]),
    )
    .await;
    let asked = stage.model.asked(&word);
    assert_eq!(asked.len(), 1, "one call for one entry");
    assert_eq!(asked[0].path, "/inference/chat/completions");
    assert_eq!(
        asked[0].headers["authorization"],
        format!("Bearer {MODEL_TOKEN}")
    );
    assert_eq!(asked[0].body["model"], "openai/gpt-4o");
    assert!(!asked[0].headers.contains_key("api-key"));
}

async fn repeated_and_overlapping_phrases_are_marked_once_each(stage: &Stage) {
    let reply = Reply::Phrases(&["good", "good", "good", "very good day"], &["day", "good"]);
    let (diary, _) = analyse(
        stage,
        &stage.shared,
        "good, a very good day, and goodness",
        reply,
    )
    .await;
    assert_eq!(diary["analyzed_by"], "model");
    let marked = marks(&diary);
    let marked_words: usize = marked
        .phrases
        .iter()
        .map(|(_, phrase)| phrase.matches("good").count())
        .sum();
    assert!(
        (1..=2).contains(&marked_words),
        "each occurrence once at most, and no part of a word: {diary}"
    );
}

async fn an_entry_without_feelings_has_no_marks(stage: &Stage) {
    let (diary, _) = analyse(
        stage,
        &stage.shared,
        "I bought a table and a chair",
        Reply::Phrases(&[], &[]),
    )
    .await;
    assert_eq!(
        (&diary["analyzed_by"], &diary["sentiment"]),
        (&json!("model"), &json!("neutral"))
    );
    assert!(marks(&diary).phrases.is_empty());
}

async fn without_a_token_the_lexicon_marks(stage: &Stage) {
    let instance = stage.new_instance(&[("github_token", "")]).await;
    let (diary, word) = analyse(
        stage,
        &instance,
        HAPPY_AND_SAD,
        Reply::Phrases(&["evening"], &[]),
    )
    .await;
    check_lexicon(&diary);
    assert!(
        stage.model.asked(&word).is_empty(),
        "nobody is asked without a token"
    );
    instance.app.stop().await;
}

async fn the_lexicon_understands_negation(stage: &Stage) {
    for (text, sentiment) in [
        ("I am happy with how it went, says", "positive"),
        ("I am not happy with how it went, says", "negative"),
        ("This was a terrible day for everybody, says", "negative"),
        (
            "The train leaves at ten from platform four, says",
            "neutral",
        ),
    ] {
        let (diary, _) =
            analyse(stage, stage.moody().await, text, Reply::Says(String::new())).await;
        assert_eq!(
            (&diary["analyzed_by"], &diary["sentiment"]),
            (&json!("lexicon"), &json!(sentiment)),
            "{diary}"
        );
    }
}

async fn answers_in_fences_and_prose_are_read(stage: &Stage) {
    let moody = stage.moody().await;
    let found = "{\"positive\": [\"in the morning\"], \"negative\": []}";
    for text in [
        format!("```json\n{found}\n```"),
        format!("Sure! Here you are: {found} Anything else?"),
        format!("\u{feff}\n{found}\n"),
    ] {
        let (diary, _) = analyse(stage, moody, HAPPY_AND_SAD, Reply::Says(text)).await;
        assert_eq!(diary["analyzed_by"], "model", "{diary}");
        assert_eq!(
            marks(&diary).phrases,
            [("positive", "in the morning".to_owned())]
        );
    }
    let parts =
        json!({"message": {"content": [{"type": "text", "text": found}]}, "finish_reason": "stop"});
    let (diary, _) = analyse(stage, moody, HAPPY_AND_SAD, Reply::Choice(parts)).await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
}

async fn a_server_that_takes_no_response_format_is_asked_without(stage: &Stage) {
    let instance = stage
        .new_instance(&[("github_model_name", "small/llama")])
        .await;
    let (diary, word) = analyse(
        stage,
        &instance,
        HAPPY_AND_SAD,
        Reply::PlainOnly(&["in the morning"]),
    )
    .await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
    let asked = stage.model.asked(&word);
    assert!(asked.len() > 1, "it was asked for structured output first");
    assert!(
        asked
            .iter()
            .all(|asked| asked.body["model"] == "small/llama")
    );
    instance.app.stop().await;
}

async fn the_api_key_style_uses_its_own_header(stage: &Stage) {
    let changes = [
        ("github_auth_style", "api-key"),
        (
            "github_models_path",
            "/openai/v1/chat/completions?api-version=1",
        ),
    ];
    let instance = stage.new_instance(&changes).await;
    let (diary, word) = analyse(
        stage,
        &instance,
        "A lovely day",
        Reply::Phrases(&["lovely"], &[]),
    )
    .await;
    assert_eq!(diary["analyzed_by"], "model", "{diary}");
    let asked = stage.model.asked(&word);
    assert_eq!(asked[0].headers["api-key"], MODEL_TOKEN);
    assert!(!asked[0].headers.contains_key("authorization"));
    assert_eq!(asked[0].path, "/openai/v1/chat/completions?api-version=1");
    instance.app.stop().await;
}
