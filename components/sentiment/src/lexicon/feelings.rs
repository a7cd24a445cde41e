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

/// Whether a word is part of a name such as "Sad Panda": it and a neighbour
/// begin with a capital inside a sentence that is not capitalised throughout.
fn is_in_name(text: &str, tokens: &[Token<'_>], at: usize) -> bool {
    let capital = |token: &Token<'_>| is_capitalised(text, token);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    if !tokens.get(at).is_some_and(capital) || before.is_none_or(|before| before.kind == Kind::End)
    {
        return false;
    }
    let neighbours = [before, tokens.get(at + 1)];
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
    neighbours.into_iter().flatten().any(capital) && plain > 4
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
