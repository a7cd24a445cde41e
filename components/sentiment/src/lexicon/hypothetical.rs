//! Detects feelings that are wished for or past, not felt: "it would be nice", "I used to enjoy it".

use super::{
    feelings::Feeling,
    preceding::Preceding,
    tokens::{Kind, Token},
    word::Role,
    word_set::WordSet,
};

/// Most tokens between a word such as "would" and its feeling, the feeling included.
const WISH_DISTANCE: usize = 7;
/// Most tokens after a feeling in which "but" and a negation are searched for.
const DENIAL_DISTANCE: usize = 6;
/// Factor on the score of a negative or negated feeling that is only imagined.
const IMAGINED_FACTOR: f32 = 0.7;
/// Factor on the score of a positive feeling that is past or denied: missing it is a negative feeling.
const MISSED_FACTOR: f32 = -0.5;

/// Adjusts the score of a feeling that follows a word such as "would", "used to" or "want to".
pub fn apply(preceding: &Preceding<'_, '_>, feeling: &mut Feeling) {
    let Some(wish) = find(preceding, feeling) else {
        return;
    };
    if feeling.score < 0.0 || feeling.negation.is_some() {
        feeling.score *= IMAGINED_FACTOR;
    } else if preceding.is_in(Some(wish), WordSet::PastHabit) || is_denied(preceding, feeling) {
        // "I used to enjoy it", "I want to be happy but I can't".
        feeling.score *= MISSED_FACTOR;
        feeling.negation = Some(wish);
    } else {
        feeling.score = 0.0;
    }
}

/// Finds the hypothetical word that applies to a feeling.
fn find(preceding: &Preceding<'_, '_>, feeling: &Feeling) -> Option<usize> {
    let start = feeling.first.saturating_sub(WISH_DISTANCE);
    for at in (start..feeling.first).rev() {
        let token = preceding
            .token(Some(at))
            .filter(|token| !token.is_clause_end())?;
        if token.is(Role::Hypothetical) {
            let in_neutral_phrase = preceding
                .feeling(at)
                .is_some_and(|phrase| phrase.score == 0.0);
            return (!in_neutral_phrase && expresses_wish(preceding, token, at)).then_some(at);
        }
        if token.is(Role::ScopeEnd) && !token.is_in(WordSet::Or) {
            return None;
        }
    }
    None
}

/// Returns whether a hypothetical word expresses a wish here. Some do so only before certain words.
fn expresses_wish(preceding: &Preceding<'_, '_>, token: &Token<'_>, at: usize) -> bool {
    let next = Some(at + 1);
    if token.is_in(WordSet::InfinitiveWish) {
        preceding.is_in(next, WordSet::To)
    } else if token.is_in(WordSet::WouldContraction) {
        !preceding.is_in(next, WordSet::AfterHad)
    } else {
        true
    }
}

/// Returns whether "but" and a negation follow in the same sentence: "… but I can't".
fn is_denied(preceding: &Preceding<'_, '_>, feeling: &Feeling) -> bool {
    let after = preceding.tokens.get(feeling.last + 1..).unwrap_or_default();
    let mut sentence = after
        .iter()
        .take(DENIAL_DISTANCE)
        .take_while(|token| token.kind != Kind::SentenceEnd);
    sentence.any(|token| token.is_in(WordSet::But))
        && sentence.any(|token| token.is(Role::Negation))
}
