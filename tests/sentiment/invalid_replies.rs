//! A reply of the model that is not what was asked for: the lexicon analyzes, and nothing unsafe gets into the entry.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::analysis::{HAPPY_AND_SAD, analyze, assert_by_lexicon, assert_by_model};
use crate::support::env::TestEnv;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

const SCRIPT: &str = "<script>alert(1)</script>";

fn message(content: impl Into<String>) -> Reply {
    Reply::Message(content.into())
}

fn body(body: impl Into<bytes::Bytes>) -> Reply {
    Reply::Body(body.into())
}

#[apply(e2e_test!)]
async fn with_markup_do_not_change_the_markup(env: &TestEnv) {
    let instance = env.misbehaving_model().await;
    let (happy, sad) = (("positive", "happy"), ("negative", "sad"));
    let by_lexicon = None;
    let cases = [
        (
            Reply::Phrases(&[SCRIPT, "happy"], &["\"><img src=x onerror=alert(1)>"]),
            Some(vec![happy]),
        ),
        (
            Reply::Phrases(&["<span class=\"positive\">happy</span>"], &["</span>sad"]),
            by_lexicon.clone(),
        ),
        (
            Reply::Phrases(&["happy<b>"], &["sad\0", "&lt;sad&gt;", ""]),
            Some(vec![sad]),
        ),
        (
            Reply::Phrases(&["happy", SCRIPT], &["sad"]),
            Some(vec![happy, sad]),
        ),
        (message(SCRIPT), by_lexicon.clone()),
        (
            message(json!({"positive": [SCRIPT], "negative": [SCRIPT]}).to_string()),
            by_lexicon.clone(),
        ),
        (
            message(format!(
                "<p>I was <span class=\"positive\">happy</span></p>{SCRIPT}"
            )),
            by_lexicon.clone(),
        ),
        (
            message(json!({"analyzed_content": SCRIPT, "positive_count": 1000}).to_string()),
            by_lexicon,
        ),
    ];
    for (reply, marks_of_model) in cases {
        let (entry, word) = analyze(env, instance, HAPPY_AND_SAD, reply).await;
        match marks_of_model {
            Some(marks) => assert_by_model(&entry, &marks),
            None => assert_by_lexicon(&entry),
        }
        assert_eq!(env.model.request_count(&word), 1);
    }
}

/// A phrase that occurs in the text is marked, even where it looks like markup. Marks begin and end with a letter or digit.
#[apply(e2e_test!)]
async fn with_markup_that_is_in_the_text_have_it_marked_and_escaped(env: &TestEnv) {
    let instance = env.misbehaving_model().await;
    let text = "He wrote <script>alert(1)</script> & was happy";
    let reply = Reply::Phrases(&[SCRIPT], &[]);
    let (entry, word) = analyze(env, instance, text, reply).await;
    let expected = format!(
        "He wrote &lt;<span class=\"positive\">script&gt;alert(1)&lt;/script</span>&gt; &amp; was happy {word}."
    );
    assert_eq!(entry["analyzed_content"], expected);
}

#[apply(e2e_test!)]
async fn are_replaced_by_the_lexicon(env: &TestEnv) {
    let instance = env.misbehaving_model().await;
    let valid = "{\"positive\": [\"evening\"], \"negative\": []}";
    let tool_call = json!([{
        "type": "function",
        "function": {"name": "mark", "arguments": valid},
    }]);
    let choices = [
        json!({"message": {"content": null, "refusal": "I cannot help with that."}, "finish_reason": "stop"}),
        json!({"message": {"content": valid}, "finish_reason": "length"}),
        json!({"message": {"content": valid}, "finish_reason": "content_filter"}),
        json!({"message": null}),
        json!({"message": {"content": null, "tool_calls": tool_call}, "finish_reason": "tool_calls"}),
        json!({"message": {"content": "", "reasoning_content": valid}, "finish_reason": "stop"}),
    ];
    let not_utf8 =
        b"{\"choices\":[{\"message\":{\"content\":\"{\\\"positive\\\":[\\\"\xE9vening\\\"]}\"}}]}";
    let replies = [
        message("I feel how your day went. Would you like to talk about it?"),
        message(""),
        message("{}"),
        message("[]"),
        message("{\"positive\": \"happy\", \"negative\": 7}"),
        message(
            "{\"positive\": [\"words that are not in the text\"], \"negative\": [\"nor these\"]}",
        ),
        message("{".repeat(50_000)),
        message("[".repeat(50_000)),
        // Longer than the service reads.
        message(json!({"positive": vec!["happy"; 500_000], "negative": []}).to_string()),
        body("<html>the page of a proxy</html>"),
        body(""),
        body("{}"),
        body("null"),
        body("{\"choices\": []}"),
        body("{\"choices\": {\"0\": 1}}"),
        body(vec![0xff; 1000]),
        body(&not_utf8[..]),
    ];
    for reply in replies.into_iter().chain(choices.map(Reply::Choice)) {
        let (entry, word) = analyze(env, instance, HAPPY_AND_SAD, reply).await;
        assert_by_lexicon(&entry);
        assert_eq!(env.model.request_count(&word), 1);
    }
}

#[apply(e2e_test!)]
async fn with_thousands_of_phrases_have_200_marked(env: &TestEnv) {
    let instance = env.misbehaving_model().await;
    let phrases = vec!["happy"; 5000];
    let reply = json!({"positive": phrases, "negative": phrases}).to_string();
    let (entry, _) = analyze(env, instance, &"happy ".repeat(700), message(reply)).await;
    assert_by_model(&entry, &[("positive", "happy"); 200]);
}
