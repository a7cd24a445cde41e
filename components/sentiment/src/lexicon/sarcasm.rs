//! Detects sarcastic praise before bad news: "Brilliant. The car has broken down."

use super::{
    feelings::Feeling,
    tokens::{Kind, Token},
    word_set::WordSet,
};

/// Factor on the score of sarcastic praise.
const SARCASM_FACTOR: f32 = -0.6;

/// Makes the praise at the start of a text negative if all other feelings are negative.
pub fn apply(tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let Some((praise, rest)) = feelings.split_first_mut() else {
        return;
    };
    let rest_is_negative = !rest.is_empty() && rest.iter().all(|feeling| feeling.score < 0.0);
    if rest_is_negative && praise.score > 0.0 && is_isolated_praise(tokens, praise) {
        praise.score *= SARCASM_FACTOR;
    }
}

/// Returns whether the feeling is a word of praise and, apart from sighs such as "oh", the only word before the first
/// comma or period.
fn is_isolated_praise(tokens: &[Token<'_>], praise: &Feeling) -> bool {
    let lead = tokens.get(..praise.first).unwrap_or_default();
    let only_sighs = lead
        .iter()
        .all(|token| token.is_clause_end() || token.is_in(WordSet::Sigh));
    // An exclamation mark is not accepted: exclaimed praise is often sincere.
    let ends = tokens
        .get(praise.last + 1)
        .is_some_and(|next| matches!(&*next.text, "," | "." | "…"));
    let is_praise = tokens
        .get(praise.first)
        .is_some_and(|token| matches!(token.kind, Kind::Word(_)) && token.is_in(WordSet::Praise));
    only_sighs && ends && is_praise
}
