//! Finds the words, phrases and symbols of a text that carry a feeling.

use super::{
    needs,
    tables::{self, Phrase},
    tokens::{Kind, Token},
    words::Role,
};

/// A feeling, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Feeling {
    /// Its first token.
    pub first: usize,
    /// Its last token.
    pub last: usize,
    /// Below zero for a bad one; zero for words that were looked at and say nothing here.
    pub strength: f32,
    /// The token that turns it into its opposite.
    pub negation: Option<usize>,
}

/// The feelings of all that is not `muted`, in order. Neutral phrases are among them, with strength 0.
pub fn find(text: &str, tokens: &[Token<'_>], muted: &[bool]) -> Vec<Feeling> {
    let mut feelings = Vec::with_capacity(tokens.len() / 8);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let feeling = match token.kind {
            Kind::Symbol(valence) => Some(feeling(at, at, valence)),
            Kind::Word(_) if muted.get(at) == Some(&false) => phrase(tokens, at)
                .or_else(|| word(tokens, at))
                .filter(|_| !is_in_name(text, tokens, at)),
            _ => None,
        };
        at = feeling.as_ref().map_or(at, |feeling| feeling.last) + 1;
        feelings.extend(feeling);
    }
    feelings
}

/// Whether a word is part of a name such as "Sad Panda" or "Crime and Punishment", or is one of the
/// words that people are called by: it begins with a capital inside a sentence that has other words in small letters.
fn is_in_name(text: &str, tokens: &[Token<'_>], at: usize) -> bool {
    let capital = |token: &Token<'_>| is_capitalised(text, token);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let Some(token) = tokens.get(at).filter(|token| capital(token)) else {
        return false;
    };
    if before.is_none_or(|before| before.kind == Kind::End) {
        return false;
    }
    let words = |token: &&Token<'_>| matches!(token.kind, Kind::Word(_));
    let sentence = tokens
        .get(at.saturating_sub(10)..)
        .unwrap_or_default()
        .iter()
        .take(20);
    let plain = sentence
        .filter(words)
        .filter(|token| !capital(token))
        .count();
    plain >= 2 && (is_first_name(&token.text) || in_title(text, tokens, at))
}

/// Whether a neighbour begins with a capital, too, be it across an "and" or "of".
fn in_title(text: &str, tokens: &[Token<'_>], at: usize) -> bool {
    let links = |token: &Token<'_>| matches!(&*token.text, "and" | "of" | "the" | "to" | "in");
    let capital =
        |token: Option<&Token<'_>>| token.is_some_and(|token| is_capitalised(text, token));
    let before = |distance| at.checked_sub(distance).and_then(|at| tokens.get(at));
    let after = |distance| tokens.get(at + distance);
    capital(before(1))
        || capital(after(1))
        || before(1).is_some_and(links) && capital(before(2))
        || after(1).is_some_and(links) && capital(after(2))
}

/// Feelings that are first names as well.
fn is_first_name(word: &str) -> bool {
    matches!(
        word,
        "joy"
            | "grace"
            | "faith"
            | "hope"
            | "bliss"
            | "victor"
            | "melody"
            | "angel"
            | "charity"
            | "merry"
            | "precious"
    )
}

/// "Panda", not "panda", "PANDA" or "I".
fn is_capitalised(text: &str, token: &Token<'_>) -> bool {
    let mut letters = text.get(token.range.clone()).unwrap_or_default().chars();
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
}

fn feeling(first: usize, last: usize, strength: f32) -> Feeling {
    Feeling {
        first,
        last,
        strength,
        negation: None,
    }
}

fn word(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let word = tokens.get(at)?.word();
    let felt = word.valence != 0.0 && needs::met(tokens, at, word.need);
    felt.then(|| feeling(at, at, word.valence))
}

fn phrase(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let first = tokens
        .get(at)
        .filter(|first| first.word().is(Role::Opens))?;
    tables::phrases(&first.text)
        .iter()
        .find(|phrase| matches(phrase, tokens, at) && needs::met(tokens, at, phrase.need))
        .map(|phrase| {
            feeling(
                at,
                at + phrase.rest().iter().filter(|word| !is_ahead(word)).count(),
                phrase.valence,
            )
        })
}

/// `+word` must follow for the phrase to be one, but is no part of it.
fn is_ahead(word: &str) -> bool {
    word.starts_with('+')
}

fn matches(phrase: &Phrase, tokens: &[Token<'_>], at: usize) -> bool {
    let following = tokens.get(at + 1..).unwrap_or_default();
    let rest = phrase.rest();
    following.len() >= rest.len()
        && rest
            .iter()
            .zip(following)
            .all(|(word, token)| word.trim_start_matches('+') == token.text)
}
