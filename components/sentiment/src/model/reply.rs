//! Parses the phrases out of a successful reply, which is untrusted input.

use serde::Deserialize;
use serde_json::Value;

use super::{error_reply, failure::Failure, phrases::Phrase};
use crate::markup::Polarity;

/// Most opening braces at which a JSON object is tried, so that a reply full of braces is parsed in linear time.
const MAX_BRACES: usize = 64;

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Message,
    error: Option<Value>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
}

/// Content of a message. Most servers send a string, some a list of parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

/// The JSON object that the instructions ask for. One of the lists may be missing, but not both.
#[derive(Deserialize)]
struct PhraseLists {
    positive: Option<Vec<Value>>,
    negative: Option<Vec<Value>>,
}

/// Parses the phrases of a reply; the list is empty if the model found none.
///
/// # Errors
/// [`Failure::Unusable`] if the reply is a refusal, was filtered or truncated, or contains no lists of phrases;
/// [`Failure::Status`] if it contains an error with an HTTP status.
pub fn parse_reply(body: &[u8]) -> Result<Vec<Phrase>, Failure> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|_| Failure::Unusable("is not a chat completion"))?;
    let choice = completion.choices.into_iter().next();
    let errors = [
        completion.error,
        choice.as_ref().and_then(|choice| choice.error.clone()),
    ];
    if let Some(error) = errors.iter().flatten().next() {
        return Err(error_reply::from_error_object(error));
    }
    let choice = choice.ok_or(Failure::Unusable("contains no choice"))?;
    match choice.finish_reason.as_deref() {
        Some("length") => return Err(Failure::Unusable("was truncated at its length limit")),
        Some("content_filter") => return Err(Failure::Unusable("was stopped by a content filter")),
        _ => {}
    }
    if choice
        .message
        .refusal
        .is_some_and(|refusal| !refusal.is_empty())
    {
        return Err(Failure::Unusable("is a refusal"));
    }
    let text = match choice.message.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts.into_iter().map(|part| part.text).collect(),
        None => return Err(Failure::Unusable("is empty")),
    };
    // A reasoning model's thoughts may contain drafts of the lists.
    let answer = text.rsplit_once("</think>").map(|(_, answer)| answer);
    let lists = find_lists(answer.unwrap_or(&text))
        .ok_or(Failure::Unusable("contains no lists of phrases"))?;
    let phrases = |list: Option<Vec<Value>>, polarity| {
        list.into_iter()
            .flatten()
            .filter_map(move |phrase| match phrase {
                Value::String(phrase) => Some((phrase, polarity)),
                _ => None,
            })
    };
    let positive = phrases(lists.positive, Polarity::Positive);
    Ok(positive
        .chain(phrases(lists.negative, Polarity::Negative))
        .collect())
}

/// Finds the first JSON object that has one of the lists. Prose or a Markdown fence may surround it.
fn find_lists(text: &str) -> Option<PhraseLists> {
    let braces = text.match_indices('{').map(|(at, _)| at);
    braces.take(MAX_BRACES).find_map(|at| {
        let mut objects =
            serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<PhraseLists>();
        let lists = objects.next()?.ok()?;
        (lists.positive.is_some() || lists.negative.is_some()).then_some(lists)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Polarity::{Negative, Positive};
    use proptest::prelude::*;
    use serde_json::json;

    fn answer(content: Value) -> Vec<u8> {
        let choice = json!({"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"});
        json!({"id": "x", "object": "chat.completion", "choices": [choice], "usage": {}})
            .to_string()
            .into_bytes()
    }

    fn parse(content: &str) -> Result<Vec<Phrase>, Failure> {
        parse_reply(&answer(content.into()))
    }

    fn unusable(body: Value) -> &'static str {
        match parse_reply(&body.to_string().into_bytes()) {
            Err(Failure::Unusable(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parses_both_lists() {
        let found = parse(r#"{"positive": ["so happy"], "negative": ["tired", "sad"]}"#);
        let expected = [
            ("so happy", Positive),
            ("tired", Negative),
            ("sad", Negative),
        ];
        assert_eq!(
            found,
            Ok(expected
                .map(|(phrase, polarity)| (phrase.to_string(), polarity))
                .to_vec())
        );
        assert_eq!(parse(r#"{"positive":[],"negative":[]}"#), Ok(vec![]));
    }

    #[test]
    fn finds_the_lists_in_fences_prose_and_parts() {
        let one = Ok(vec![("great".to_string(), Positive)]);
        assert_eq!(
            parse("```json\n{\"positive\":[\"great\"],\"negative\":[]}\n```"),
            one
        );
        assert_eq!(
            parse(
                "<think>{\"negative\":[\"great\"]}? No.</think> Sure! {\"positive\":[\"great\"]} Anything else? {}"
            ),
            one
        );
        assert_eq!(
            parse_reply(&answer(
                json!([{"type": "text", "text": "{\"positive\":[\"great\"]}"}])
            )),
            one
        );
    }

    #[test]
    fn ignores_list_items_that_are_not_strings() {
        assert_eq!(
            parse(r#"{"positive":[1,null,["x"],{"a":1},"great"],"negative":null}"#),
            Ok(vec![("great".into(), Positive)])
        );
    }

    #[test]
    fn names_the_reason_of_an_unusable_reply() {
        let message = |message: Value, reason: Value| json!({"choices": [{"message": message, "finish_reason": reason}]});
        let whole = json!({"content": "{\"positive\":[]}"});
        assert_eq!(
            unusable(message(whole.clone(), "length".into())),
            "was truncated at its length limit"
        );
        assert_eq!(
            unusable(message(whole.clone(), "content_filter".into())),
            "was stopped by a content filter"
        );
        assert_eq!(
            unusable(message(
                json!({"content": null, "refusal": "I can't"}),
                "stop".into()
            )),
            "is a refusal"
        );
        assert_eq!(
            unusable(message(json!({"content": null}), "stop".into())),
            "is empty"
        );
        assert_eq!(
            unusable(message(
                json!({"content": "I feel your joy."}),
                "stop".into()
            )),
            "contains no lists of phrases"
        );
        assert_eq!(
            unusable(message(
                json!({"content": "{\"feelings\":[]}"}),
                "stop".into()
            )),
            "contains no lists of phrases"
        );
        assert_eq!(unusable(json!({"choices": []})), "contains no choice");
        assert_eq!(unusable(json!({"error": {"message": "no"}})), "is an error");
        let calls = json!({"content": null, "tool_calls": [{"type": "function", "function": {"name": "x", "arguments": "{\"positive\":[]}"}}]});
        assert_eq!(unusable(message(calls, "tool_calls".into())), "is empty");
        let thoughts = json!({"content": "", "reasoning_content": "{\"positive\":[\"great\"]}"});
        assert_eq!(
            unusable(message(thoughts, "stop".into())),
            "contains no lists of phrases"
        );
        assert_eq!(unusable(json!("<html>")), "is not a chat completion");
        assert!(parse_reply(&"[".repeat(100_000).into_bytes()).is_err());
        assert!(parse(&"{".repeat(100_000)).is_err());
    }

    #[test]
    fn an_error_object_fails_the_call() {
        let overloaded = json!({"choices": [{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]});
        let failure = parse_reply(&overloaded.to_string().into_bytes());
        assert!(matches!(failure, Err(Failure::Status { status, .. }) if status == 502));
    }

    #[test]
    fn ignores_other_fields_and_rejects_invalid_utf_8() {
        let body = br#"{"error":null,"choices":[{"message":{"content":"{\"positive\":[\"great\"]}","reasoning_content":"{\"negative\":[\"great\"]}","refusal":"","tool_calls":[]},"error":null,"logprobs":{"a":[1]},"finish_reason":null}],"x":[]}"#;
        assert_eq!(parse_reply(body), Ok(vec![("great".to_string(), Positive)]));
        let latin = b"{\"choices\":[{\"message\":{\"content\":\"{\\\"positive\\\":[\\\"\xE9t\xE9\\\"]}\"}}]}";
        assert_eq!(
            parse_reply(latin),
            Err(Failure::Unusable("is not a chat completion"))
        );
    }

    proptest! {
        #[test]
        fn parses_any_reply_without_a_panic(content in "(\\{|\\}|\"|positive|:|\\[|\\]|,|\\PC){0,40}", raw in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(parse(&content).is_ok() || parse(&content).is_err());
            prop_assert!(parse_reply(&raw).is_err());
        }
    }
}
