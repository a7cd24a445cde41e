//! Reads phrases out of a chat-completions answer, which may hold anything.

use serde::Deserialize;
use serde_json::Value;

use super::{Failure, Phrase, refusal};
use crate::markup::Polarity;

/// Braces at which a JSON object is looked for in prose.
const MOST_BRACES: usize = 64;

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

/// Most servers send a string, some a list of parts.
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

/// What the model was asked for. Either list may be missing, not both.
#[derive(Deserialize)]
struct Found {
    positive: Option<Vec<Value>>,
    negative: Option<Vec<Value>>,
}

/// The phrases of an answer; an empty list when the model found none.
///
/// # Errors
/// [`Failure::Unusable`] for an answer that was refused, filtered or cut short, or holds no phrases at all.
/// [`Failure::Status`] for one that carries an error which should have been its status.
pub fn phrases(body: &[u8]) -> Result<Vec<Phrase>, Failure> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|_| Failure::Unusable("is not a chat completion"))?;
    let choice = completion.choices.into_iter().next();
    let errors = [
        completion.error,
        choice.as_ref().and_then(|choice| choice.error.clone()),
    ];
    if let Some(error) = errors.iter().flatten().next() {
        return Err(refusal::within_success(error));
    }
    let choice = choice.ok_or(Failure::Unusable("holds no choice"))?;
    match choice.finish_reason.as_deref() {
        Some("length") => return Err(Failure::Unusable("was cut short at its length limit")),
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
    // What a model thinks aloud may hold drafts of its answer.
    let answer = text.rsplit_once("</think>").map(|(_, answer)| answer);
    let found =
        find(answer.unwrap_or(&text)).ok_or(Failure::Unusable("holds no lists of phrases"))?;
    let with = |list: Option<Vec<Value>>, polarity| {
        list.into_iter()
            .flatten()
            .filter_map(move |phrase| match phrase {
                Value::String(phrase) => Some((phrase, polarity)),
                _ => None,
            })
    };
    let positive = with(found.positive, Polarity::Positive);
    Ok(positive
        .chain(with(found.negative, Polarity::Negative))
        .collect())
}

/// The first JSON object with the lists in it, whatever fence or prose surrounds it.
fn find(text: &str) -> Option<Found> {
    let braces = text.match_indices('{').map(|(at, _)| at);
    braces.take(MOST_BRACES).find_map(|at| {
        let mut objects = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<Found>();
        let found = objects.next()?.ok()?;
        (found.positive.is_some() || found.negative.is_some()).then_some(found)
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

    fn read(content: &str) -> Result<Vec<Phrase>, Failure> {
        phrases(&answer(content.into()))
    }

    fn nonsense(body: Value) -> &'static str {
        match phrases(&body.to_string().into_bytes()) {
            Err(Failure::Unusable(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_lists_are_read() {
        let found = read(r#"{"positive": ["so happy"], "negative": ["tired", "sad"]}"#);
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
        assert_eq!(read(r#"{"positive":[],"negative":[]}"#), Ok(vec![]));
    }

    #[test]
    fn fences_prose_and_parts_are_read_through() {
        let one = Ok(vec![("great".to_string(), Positive)]);
        assert_eq!(
            read("```json\n{\"positive\":[\"great\"],\"negative\":[]}\n```"),
            one
        );
        assert_eq!(
            read(
                "<think>{\"negative\":[\"great\"]}? No.</think> Sure! {\"positive\":[\"great\"]} Anything else? {}"
            ),
            one
        );
        assert_eq!(
            phrases(&answer(
                json!([{"type": "text", "text": "{\"positive\":[\"great\"]}"}])
            )),
            one
        );
    }

    #[test]
    fn what_is_no_phrase_is_left_out() {
        assert_eq!(
            read(r#"{"positive":[1,null,["x"],{"a":1},"great"],"negative":null}"#),
            Ok(vec![("great".into(), Positive)])
        );
    }

    #[test]
    fn other_answers_have_their_reason() {
        let message = |message: Value, reason: Value| json!({"choices": [{"message": message, "finish_reason": reason}]});
        let whole = json!({"content": "{\"positive\":[]}"});
        assert_eq!(
            nonsense(message(whole.clone(), "length".into())),
            "was cut short at its length limit"
        );
        assert_eq!(
            nonsense(message(whole.clone(), "content_filter".into())),
            "was stopped by a content filter"
        );
        assert_eq!(
            nonsense(message(
                json!({"content": null, "refusal": "I can't"}),
                "stop".into()
            )),
            "is a refusal"
        );
        assert_eq!(
            nonsense(message(json!({"content": null}), "stop".into())),
            "is empty"
        );
        assert_eq!(
            nonsense(message(
                json!({"content": "I feel your joy."}),
                "stop".into()
            )),
            "holds no lists of phrases"
        );
        assert_eq!(
            nonsense(message(
                json!({"content": "{\"feelings\":[]}"}),
                "stop".into()
            )),
            "holds no lists of phrases"
        );
        assert_eq!(nonsense(json!({"choices": []})), "holds no choice");
        assert_eq!(nonsense(json!({"error": {"message": "no"}})), "is an error");
        let calls = json!({"content": null, "tool_calls": [{"type": "function", "function": {"name": "x", "arguments": "{\"positive\":[]}"}}]});
        assert_eq!(nonsense(message(calls, "tool_calls".into())), "is empty");
        let thoughts = json!({"content": "", "reasoning_content": "{\"positive\":[\"great\"]}"});
        assert_eq!(
            nonsense(message(thoughts, "stop".into())),
            "holds no lists of phrases"
        );
        assert_eq!(nonsense(json!("<html>")), "is not a chat completion");
        assert!(phrases(&"[".repeat(100_000).into_bytes()).is_err());
        assert!(read(&"{".repeat(100_000)).is_err());
    }

    #[test]
    fn errors_within_a_success_are_errors() {
        let overloaded = json!({"choices": [{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]});
        let failure = phrases(&overloaded.to_string().into_bytes());
        assert!(matches!(failure, Err(Failure::Status { status, .. }) if status == 502));
    }

    #[test]
    fn other_fields_and_bytes_that_are_no_text_change_nothing() {
        let body = br#"{"error":null,"choices":[{"message":{"content":"{\"positive\":[\"great\"]}","reasoning_content":"{\"negative\":[\"great\"]}","refusal":"","tool_calls":[]},"error":null,"logprobs":{"a":[1]},"finish_reason":null}],"x":[]}"#;
        assert_eq!(phrases(body), Ok(vec![("great".to_string(), Positive)]));
        let latin = b"{\"choices\":[{\"message\":{\"content\":\"{\\\"positive\\\":[\\\"\xE9t\xE9\\\"]}\"}}]}";
        assert_eq!(
            phrases(latin),
            Err(Failure::Unusable("is not a chat completion"))
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_to_an_end(content in "(\\{|\\}|\"|positive|:|\\[|\\]|,|\\PC){0,40}", raw in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(read(&content).is_ok() || read(&content).is_err());
            prop_assert!(phrases(&raw).is_err());
        }
    }
}
