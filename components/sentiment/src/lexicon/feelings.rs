//! Finds the words, phrases and symbols of a text that express a feeling.

use super::{
    context,
    tables::{self, Phrase},
    tokens::{Kind, Token},
    word::Role,
    word_set::WordSet,
};

/// A word, phrase or symbol that expresses a feeling.
#[derive(Clone, Debug, PartialEq)]
pub struct Feeling {
    /// Index of the first token.
    pub first: usize,
    /// Index of the last token.
    pub last: usize,
    /// Valence, adjusted by the rules: negative for a negative feeling, 0 for a neutral phrase.
    pub score: f32,
    /// Index of the token that negates the feeling.
    pub negation: Option<usize>,
}

impl Feeling {
    fn new(first: usize, last: usize, score: f32) -> Self {
        Self {
            first,
            last,
            score,
            negation: None,
        }
    }
}

/// Finds the feelings of a text in order. Neutral phrases are included with score 0; `foreign` words are not searched.
pub fn find(text: &str, tokens: &[Token<'_>], foreign: &[bool]) -> Vec<Feeling> {
    let mut feelings = Vec::with_capacity(tokens.len() / 8);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let feeling = match token.kind {
            Kind::Symbol(valence) => Some(Feeling::new(at, at, valence)),
            Kind::Word(_) if foreign.get(at) == Some(&false) => find_phrase(tokens, at)
                .or_else(|| find_word(tokens, at))
                .filter(|_| !is_in_name(text, tokens, at)),
            _ => None,
        };
        at = feeling.as_ref().map_or(at, |feeling| feeling.last) + 1;
        feelings.extend(feeling);
    }
    feelings
}

fn find_word(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let word = tokens.get(at)?.word();
    let is_felt = word.valence != 0.0 && context::is_met(tokens, at, word.context);
    is_felt.then(|| Feeling::new(at, at, word.valence))
}

fn find_phrase(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let first = tokens
        .get(at)
        .filter(|first| first.is(Role::StartsPhrase))?;
    let phrase = tables::phrases(&first.text).iter().find(|phrase| {
        is_phrase_at(phrase, tokens, at) && context::is_met(tokens, at, phrase.context)
    })?;
    let marked = phrase.rest().iter().filter(|word| !is_lookahead(word));
    Some(Feeling::new(at, at + marked.count(), phrase.valence))
}

/// Returns whether a phrase's word must follow the phrase without being part of it.
fn is_lookahead(word: &str) -> bool {
    word.starts_with('+')
}

fn is_phrase_at(phrase: &Phrase, tokens: &[Token<'_>], at: usize) -> bool {
    let following = tokens.get(at + 1..).unwrap_or_default();
    let rest = phrase.rest();
    following.len() >= rest.len()
        && rest
            .iter()
            .zip(following)
            .all(|(word, token)| word.trim_start_matches('+') == token.text)
}

/// Returns whether a word is a first name or part of a title such as "Sad Panda" or "Crime and Punishment".
///
/// Names are capitalized inside a sentence, and at least two nearby words are not.
fn is_in_name(text: &str, tokens: &[Token<'_>], at: usize) -> bool {
    const NEARBY: usize = 10;
    let Some(token) = tokens.get(at).filter(|token| is_capitalized(text, token)) else {
        return false;
    };
    let previous = at.checked_sub(1).and_then(|at| tokens.get(at));
    if previous.is_none_or(|previous| previous.kind == Kind::SentenceEnd) {
        return false;
    }
    let nearby = tokens.get(at.saturating_sub(NEARBY)..).unwrap_or_default();
    let lower_case = nearby
        .iter()
        .take(2 * NEARBY)
        .filter(|token| matches!(token.kind, Kind::Word(_)) && !is_capitalized(text, token));
    lower_case.count() >= 2 && (token.is_in(WordSet::FirstName) || is_in_title(text, tokens, at))
}

/// Returns whether a neighbor is capitalized too, directly or across a word such as "and" or "of".
fn is_in_title(text: &str, tokens: &[Token<'_>], at: usize) -> bool {
    let before = |distance| at.checked_sub(distance).and_then(|at| tokens.get(at));
    let after = |distance| tokens.get(at + distance);
    let is_capitalized =
        |token: Option<&Token<'_>>| token.is_some_and(|token| is_capitalized(text, token));
    let is_link =
        |token: Option<&Token<'_>>| token.is_some_and(|token| token.is_in(WordSet::TitleLink));
    is_capitalized(before(1))
        || is_capitalized(after(1))
        || is_link(before(1)) && is_capitalized(before(2))
        || is_link(after(1)) && is_capitalized(after(2))
}

/// Returns whether a token is like "Panda", not "panda", "PANDA" or "I".
fn is_capitalized(text: &str, token: &Token<'_>) -> bool {
    let mut letters = text.get(token.range.clone()).unwrap_or_default().chars();
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
}
