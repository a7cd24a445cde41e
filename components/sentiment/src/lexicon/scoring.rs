//! Adjusts the scores of feelings by emphasis and contrast, and selects the feelings to mark.

use std::ops::Range;

use super::{
    feelings::Feeling,
    tokens::{Kind, Token},
    word::{Role, Word},
    word_set::WordSet,
};

/// Factor for each booster among the two words before a feeling.
const BOOSTER_FACTOR: f32 = 1.25;
/// Factor for each dampener among them.
const DAMPENER_FACTOR: f32 = 0.75;
/// Factor for a feeling in capital letters.
const CAPITALS_FACTOR: f32 = 1.3;
/// Factor for a feeling in a sentence that ends with an exclamation mark.
const EXCLAMATION_FACTOR: f32 = 1.15;
/// Factors for what precedes and follows the last "but" of a sentence.
const CONTRAST_FACTORS: (f32, f32) = (0.5, 1.4);
/// The same for a "but" at the start of a sentence, where the previous sentence precedes it.
const SENTENCE_CONTRAST_FACTORS: (f32, f32) = (0.7, 1.2);
/// Factor for a clause with "although".
const CONCESSION_FACTOR: f32 = 0.5;
/// A polarity prevails if its scores add up to more than this many times those of the other.
const PREVAILING_RATIO: f32 = 1.3;
/// Feelings with at least this score are always marked: a strong feeling counts even if the text ends on another one.
const STRONG_SCORE: f32 = 1.3;

/// Adjusts scores by boosters, dampeners, capital letters and exclamation marks.
pub fn emphasize(text: &str, tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let exclaimed = exclaimed(tokens);
    for feeling in feelings {
        for token in tokens
            .get(feeling.first.saturating_sub(2)..feeling.first)
            .unwrap_or_default()
        {
            let word = token.word();
            if word.is(Role::Booster) {
                feeling.score *= BOOSTER_FACTOR;
            } else if word.is(Role::Dampener) {
                feeling.score *= DAMPENER_FACTOR;
            }
        }
        let own = tokens
            .get(feeling.first)
            .and_then(|token| text.get(token.range.clone()));
        if own.is_some_and(is_in_capitals) {
            feeling.score *= CAPITALS_FACTOR;
        }
        if exclaimed.get(feeling.last) == Some(&true) {
            feeling.score *= EXCLAMATION_FACTOR;
        }
    }
}

/// Returns, for each token, whether its sentence ends with an exclamation mark.
fn exclaimed(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut exclaimed = vec![false; tokens.len()];
    let mut current = false;
    for (token, exclaimed) in tokens.iter().zip(&mut exclaimed).rev() {
        if token.kind == Kind::SentenceEnd {
            current = token.text == "!";
        }
        *exclaimed = current;
    }
    exclaimed
}

fn is_in_capitals(word: &str) -> bool {
    word.len() > 2 && word.chars().all(|letter| letter.is_uppercase())
}

/// Adjusts scores by contrast and concession: "but" and "although".
///
/// Visits each sentence and clause once, so that the time is linear in the length of the text.
pub fn contrast(tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let mut previous = 0..0;
    let mut start = 0;
    for sentence in tokens.split_inclusive(|token| token.kind == Kind::SentenceEnd) {
        let range = start..start + sentence.len();
        apply_contrast(tokens, feelings, &previous, &range);
        apply_concessions(tokens, feelings, &range);
        if sentence.iter().any(|token| token.word() != Word::default()) {
            previous = range;
        }
        start += sentence.len();
    }
}

/// Scales the scores before and after the last word of contrast in a sentence, if a feeling follows it.
fn apply_contrast(
    tokens: &[Token<'_>],
    feelings: &mut [Feeling],
    previous: &Range<usize>,
    sentence: &Range<usize>,
) {
    let contrast = sentence.clone().rev().find(|at| is_contrast(tokens, *at));
    let Some(at) = contrast else {
        return;
    };
    let after = at..sentence.end;
    if feelings_in(feelings, &after).is_empty() {
        return;
    }
    let (before, factors) = if at == sentence.start {
        (previous.clone(), SENTENCE_CONTRAST_FACTORS)
    } else {
        (sentence.start..at, CONTRAST_FACTORS)
    };
    scale(feelings, &before, factors.0);
    scale(feelings, &after, factors.1);
}

/// Scales the scores in a sentence's clauses from their word of concession on.
fn apply_concessions(tokens: &[Token<'_>], feelings: &mut [Feeling], sentence: &Range<usize>) {
    let mut start = sentence.start;
    let words = tokens.get(sentence.clone()).unwrap_or_default();
    for clause in words.split_inclusive(Token::is_clause_end) {
        let end = start + clause.len();
        let concession = (start..end).find(|at| is_concession(tokens, *at, sentence.start));
        if let Some(at) = concession {
            scale(feelings, &(at..end), CONCESSION_FACTOR);
        }
        start = end;
    }
}

/// Returns whether the word at `at` concedes something: "although".
///
/// "Though" does not at the end of a sentence; "after" does only at the start of one: "After a bad week, …".
fn is_concession(tokens: &[Token<'_>], at: usize, sentence_start: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.is(Role::Concession)) else {
        return false;
    };
    let ends_sentence = tokens
        .get(at + 1)
        .is_none_or(|next| next.kind == Kind::SentenceEnd);
    !is_contrast(tokens, at)
        && !ends_sentence
        && (at == sentence_start || !token.is_in(WordSet::SentenceConcession))
}

/// Returns whether the word at `at` contrasts: "but" always does, "yet" and "still" only at the start of a clause.
fn is_contrast(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.is(Role::Contrast)) else {
        return false;
    };
    let previous = at.checked_sub(1).and_then(|at| tokens.get(at));
    !token.is_in(WordSet::ClauseContrast) || previous.is_none_or(Token::is_clause_end)
}

/// Returns the feelings that start within a range of tokens.
fn feelings_in<'a>(feelings: &'a mut [Feeling], tokens: &Range<usize>) -> &'a mut [Feeling] {
    let start = feelings.partition_point(|feeling| feeling.first < tokens.start);
    let end = feelings.partition_point(|feeling| feeling.first < tokens.end);
    feelings.get_mut(start..end).unwrap_or_default()
}

fn scale(feelings: &mut [Feeling], tokens: &Range<usize>, factor: f32) {
    for feeling in feelings_in(feelings, tokens) {
        feeling.score *= factor;
    }
}

/// Drops weak feelings of the minor polarity until the prevailing one has the most marks.
///
/// Clients derive the polarity of a text from the number of its marks. If neither polarity prevails, all are kept.
pub fn settle(feelings: &mut Vec<Feeling>) {
    let total = |sign: f32| {
        let scores = feelings.iter().map(|feeling| feeling.score * sign);
        scores.map(|score| score.max(0.0)).sum::<f32>()
    };
    let (positive, negative) = (total(1.0), total(-1.0));
    let prevailing = if positive > negative * PREVAILING_RATIO {
        1.0
    } else if negative > positive * PREVAILING_RATIO {
        -1.0
    } else {
        return;
    };
    let count = |sign: f32| {
        let of_sign = feelings.iter().filter(|feeling| feeling.score * sign > 0.0);
        of_sign.count()
    };
    let Some(surplus) = (count(-prevailing) + 1).checked_sub(count(prevailing)) else {
        return;
    };
    let mut weakest: Vec<(f32, usize)> = feelings
        .iter()
        .filter(|feeling| feeling.score * prevailing < 0.0 && feeling.score.abs() < STRONG_SCORE)
        .map(|feeling| (feeling.score.abs(), feeling.first))
        .collect();
    weakest.sort_by(|a, b| a.0.total_cmp(&b.0));
    weakest.truncate(surplus);
    let mut dropped: Vec<usize> = weakest.into_iter().map(|(_, first)| first).collect();
    dropped.sort_unstable();
    feelings.retain(|feeling| dropped.binary_search(&feeling.first).is_err());
}
