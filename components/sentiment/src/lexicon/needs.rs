//! Decides whether what stands before a word lets it carry its feeling.

use super::{
    tokens::{Kind, Token},
    words::{Need, Role},
};

/// Whether the word at `at` has before it what it needs.
pub fn met(tokens: &[Token<'_>], at: usize, need: Need) -> bool {
    match need {
        Need::Nothing => true,
        Need::Linked => !intensifies_next(tokens, at) && linked(tokens, at),
        Need::Felt => felt(tokens, at),
        Need::Person => done_by_person(tokens, at),
        Need::Going => after_going(tokens, at),
    }
}

fn before<'a, 't>(tokens: &'a [Token<'t>], at: usize) -> impl Iterator<Item = &'a Token<'t>> {
    tokens
        .get(..at)
        .unwrap_or_default()
        .iter()
        .rev()
        .take_while(|token| !token.is_break())
}

/// "Pretty tired": the word only intensifies, it says nothing itself.
fn intensifies_next(tokens: &[Token<'_>], at: usize) -> bool {
    let intensifier = tokens
        .get(at)
        .is_some_and(|token| token.word().is(Role::Boost));
    let next = tokens.get(at + 1);
    intensifier
        && next.is_some_and(|next| matches!(next.kind, Kind::Word(word) if !word.is(Role::Stop)))
}

/// How many words may lie between a link and its predicate.
const REACH: usize = 8;

/// Whether only words that a predicate may hold lie between a link and the word.
fn linked(tokens: &[Token<'_>], at: usize) -> bool {
    let exclaimed = before(tokens, at).take(2).count() == 1;
    for token in before(tokens, at).take(REACH) {
        let word = token.word();
        // "So kind of him" needs no link, "laughed so hard" has none.
        if word.is(Role::Link) || exclaimed && (word.is(Role::Boost) || word.is(Role::Damp)) {
            return true;
        }
        let passes = word.is(Role::Skip)
            || word.is(Role::Boost)
            || word.is(Role::Damp)
            || word.is(Role::Not);
        if !passes && !joins_feelings(token) && word.valence == 0.0 {
            return false;
        }
    }
    false
}

fn joins_feelings(token: &Token<'_>) -> bool {
    matches!(&*token.text, "and" | "or" | "also" | "still")
}

/// Whether a verb of feeling leads to the word, or somebody says "I am so …".
fn felt(tokens: &[Token<'_>], at: usize) -> bool {
    let (mut intense, mut linked) = (false, false);
    for (distance, token) in before(tokens, at).take(4).enumerate() {
        let word = token.word();
        if word.is(Role::Feel) {
            return true;
        }
        intense |= distance == 0 && word.is(Role::Boost);
        linked |= word.is(Role::Link);
        match &*token.text {
            "i'm" | "im" => return intense,
            "i" => return intense && linked,
            _ => {}
        }
        let passes = word.is(Role::Skip)
            || word.is(Role::Boost)
            || word.is(Role::Damp)
            || word.is(Role::Not);
        if !(passes || word.is(Role::Link) || joins_feelings(token) || word.valence != 0.0) {
            return false;
        }
    }
    false
}

/// "I like", "I really like", "we don't like"; not "is like", "would like", "something like".
fn done_by_person(tokens: &[Token<'_>], at: usize) -> bool {
    let mut words = before(tokens, at);
    let Some(first) = words
        .next()
        .map(Token::word)
        .filter(|word| word.is(Role::Who))
    else {
        return false;
    };
    // An adverb must have its person, "always" of "it was always like that" has none.
    first.is(Role::Subject)
        || first.is(Role::Not)
        || first.is(Role::Link) && !first.is(Role::Feel)
        || words
            .next()
            .is_some_and(|second| second.word().is(Role::Who))
}

/// "Slept well", "went really well", "is going so well".
fn after_going(tokens: &[Token<'_>], at: usize) -> bool {
    const REACH: usize = 4;
    before(tokens, at)
        .take(REACH)
        .take_while(|token| token.text != "as")
        .any(|token| {
            matches!(
                &*token.text,
                "go" | "goes"
                    | "going"
                    | "gone"
                    | "went"
                    | "do"
                    | "does"
                    | "doing"
                    | "did"
                    | "done"
                    | "sleep"
                    | "slept"
                    | "sleeping"
                    | "play"
                    | "played"
                    | "work"
                    | "worked"
                    | "works"
                    | "working"
                    | "feel"
                    | "feeling"
                    | "felt"
                    | "turned"
                    | "turn"
                    | "ended"
                    | "performed"
                    | "eat"
                    | "ate"
                    | "received"
                    | "along"
            )
        })
}
