//! The built-in lexicon, which analyzes where no model is configured. Its rules have unit tests of their own.

use macro_rules_attribute::apply;

use crate::support::analysis::{HAPPY_AND_SAD, analyze, assert_by_lexicon};
use crate::support::env::TestEnv;
use crate::support::model_server::Reply;
use crate::support::registry::e2e_test;

#[apply(e2e_test!)]
async fn analyzes_where_no_token_is_configured(env: &TestEnv) {
    let instance = env.start_instance(&[("github_token", "")]).await;
    let reply = Reply::Phrases(&["evening"], &[]);
    let (entry, word) = analyze(env, &instance, HAPPY_AND_SAD, reply).await;
    assert_by_lexicon(&entry);
    assert_eq!(env.model.request_count(&word), 0);
}

#[apply(e2e_test!)]
async fn understands_negation(env: &TestEnv) {
    let instance = env.misbehaving_model().await;
    for (text, sentiment) in [
        ("I am happy with how it went, says", "positive"),
        ("I am not happy with how it went, says", "negative"),
        ("This was a terrible day for everybody, says", "negative"),
        (
            "The train leaves at ten from platform four, says",
            "neutral",
        ),
    ] {
        let invalid = Reply::Message(String::new());
        let (entry, _) = analyze(env, instance, text, invalid).await;
        assert_eq!(entry["analyzed_by"], "lexicon", "{entry}");
        assert_eq!(entry["sentiment"], sentiment, "{entry}");
    }
}
