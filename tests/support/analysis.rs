//! Entries whose analysis by the model or the lexicon is known.

use serde_json::{Value, json};

use super::client::Client;
use super::env::TestEnv;
use super::instance::Instance;
use super::marked_text::assert_phrases;
use super::model_server::Reply;
use super::unique::unique_word;

/// A text in which the lexicon marks "happy" and "sad".
pub const HAPPY_AND_SAD: &str = "I was happy in the morning and sad in the evening,";

/// Returns [`HAPPY_AND_SAD`] with a unique word, and that word. The model replies to it with `reply`.
pub fn happy_and_sad(env: &TestEnv, reply: Reply) -> (String, String) {
    let word = unique_word("zebra");
    env.model.set_reply(&word, reply);
    (format!("{HAPPY_AND_SAD} {word}."), word)
}

/// Creates an entry of [`HAPPY_AND_SAD`] to which the model replies with `reply`. Returns the entry and its unique word.
pub async fn create_happy_and_sad(env: &TestEnv, client: &Client, reply: Reply) -> (Value, String) {
    let (text, word) = happy_and_sad(env, reply);
    (client.create_entry(&text).await, word)
}

/// Creates an entry as a new user of `instance`. The text is `beginning` and a unique word, and the model replies to it with
/// `reply`. Returns the entry and its unique word.
pub async fn analyze(
    env: &TestEnv,
    instance: &Instance,
    beginning: &str,
    reply: Reply,
) -> (Value, String) {
    let word = unique_word("zebra");
    env.model.set_reply(&word, reply);
    let user = instance.user().await;
    let entry = user.create_entry(&format!("{beginning} {word}.")).await;
    let stored = user.list("").await;
    assert_eq!(stored["items"], json!([entry]), "stored as it was returned");
    (entry, word)
}

/// Fails unless the model analyzed the entry and these phrases are marked.
#[track_caller]
pub fn assert_by_model(entry: &Value, phrases: &[(&str, &str)]) {
    assert_eq!(entry["analyzed_by"], "model", "{entry}");
    assert_phrases(entry, phrases);
}

/// Fails unless the lexicon analyzed an entry of [`HAPPY_AND_SAD`].
#[track_caller]
pub fn assert_by_lexicon(entry: &Value) {
    assert_eq!(entry["analyzed_by"], "lexicon", "{entry}");
    assert_phrases(entry, &[("positive", "happy"), ("negative", "sad")]);
}
