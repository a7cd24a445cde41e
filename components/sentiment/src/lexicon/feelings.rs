//! Finds the words, phrases and symbols of a text that carry a feeling.

use super::{
    needs,
    tokens::{Kind, Token},
    words::{self, Phrase},
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
    /// Whether something in the text makes it count less.
    pub weakened: bool,
}

/// The feelings of all that is not `muted`, in order. Neutral phrases are among them, with strength 0.
pub fn find(tokens: &[Token<'_>], muted: &[bool]) -> Vec<Feeling> {
    let mut feelings = Vec::with_capacity(tokens.len() / 8);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let feeling = match token.kind {
            Kind::Symbol(valence) => Some(feeling(at, at, valence)),
            Kind::Word(_) if muted.get(at) == Some(&false) => {
                phrase(tokens, at).or_else(|| word(tokens, at))
            }
            _ => None,
        };
        at = feeling.as_ref().map_or(at, |feeling| feeling.last) + 1;
        feelings.extend(feeling);
    }
    feelings
}

fn feeling(first: usize, last: usize, strength: f32) -> Feeling {
    Feeling {
        first,
        last,
        strength,
        negation: None,
        weakened: false,
    }
}

fn word(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let word = tokens.get(at)?.word();
    let felt = word.valence != 0.0 && needs::met(tokens, at, word.need);
    felt.then(|| feeling(at, at, word.valence))
}

fn phrase(tokens: &[Token<'_>], at: usize) -> Option<Feeling> {
    let first = tokens.get(at)?;
    words::phrases(&first.text)
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
