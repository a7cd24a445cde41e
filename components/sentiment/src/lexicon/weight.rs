//! Weighs feelings against each other, so that their marks add up to the polarity of the whole text.

use std::ops::Range;

use super::{
    feelings::Feeling,
    tokens::{Kind, Token},
    words::{Role, Word},
};

/// Makes what is intensified, shouted or exclaimed stronger, and what is hedged weaker.
pub fn emphasise(text: &str, tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let exclaimed = exclaimed(tokens);
    for feeling in feelings {
        for token in tokens
            .get(feeling.first.saturating_sub(2)..feeling.first)
            .unwrap_or_default()
        {
            let word = token.word();
            if word.is(Role::Boost) {
                feeling.strength *= 1.25;
            } else if word.is(Role::Damp) {
                feeling.strength *= 0.75;
            }
        }
        let own = tokens
            .get(feeling.first)
            .and_then(|token| text.get(token.range.clone()));
        if own.is_some_and(is_shouted) {
            feeling.strength *= 1.3;
        }
        if exclaimed.get(feeling.last) == Some(&true) {
            feeling.strength *= 1.15;
        }
    }
}

/// For each token, whether its sentence ends with an exclamation mark.
fn exclaimed(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut exclaimed = vec![false; tokens.len()];
    let mut current = false;
    for (token, exclaimed) in tokens.iter().zip(&mut exclaimed).rev() {
        if token.kind == Kind::End {
            current = token.text == "!";
        }
        *exclaimed = current;
    }
    exclaimed
}

fn is_shouted(word: &str) -> bool {
    word.len() > 2 && word.chars().all(|letter| letter.is_uppercase())
}

/// What comes before the last "but" of a sentence counts half and what comes after it more; a
/// clause with "although" counts half.
///
/// Each sentence and clause is looked at once, so that no text takes longer than its length.
pub fn contrast(tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    let mut previous = 0..0;
    let mut start = 0;
    for sentence in tokens.split_inclusive(|token| token.kind == Kind::End) {
        let here = start..start + sentence.len();
        turn(tokens, feelings, &previous, &here);
        concede(tokens, feelings, &here);
        if sentence.iter().any(|token| token.word() != Word::default()) {
            previous = here;
        }
        start += sentence.len();
    }
}

/// Weighs what stands around the last "but" of a sentence.
fn turn(
    tokens: &[Token<'_>],
    feelings: &mut [Feeling],
    previous: &Range<usize>,
    sentence: &Range<usize>,
) {
    let turns = |at: &usize| {
        tokens
            .get(*at)
            .is_some_and(|token| token.word().is(Role::But))
            && opens_clause(tokens, *at)
    };
    let Some(at) = sentence.clone().rev().find(turns) else {
        return;
    };
    let after = at..sentence.end;
    if within(feelings, &after).is_empty() {
        return;
    }
    if at == sentence.start {
        scale(feelings, previous, 0.7);
        scale(feelings, &after, 1.2);
    } else {
        scale(feelings, &(sentence.start..at), 0.5);
        scale(feelings, &after, 1.4);
    }
}

/// Weighs the clauses of a sentence that concede something.
fn concede(tokens: &[Token<'_>], feelings: &mut [Feeling], sentence: &Range<usize>) {
    let mut start = sentence.start;
    let words = tokens.get(sentence.clone()).unwrap_or_default();
    for clause in words.split_inclusive(Token::is_break) {
        let end = start + clause.len();
        let conceding = (start..end).find(|at| concedes(tokens, *at, sentence.start));
        if let Some(at) = conceding {
            scale(feelings, &(at..end), 0.5);
        }
        start = end;
    }
}

/// "Though" at the end of a sentence concedes nothing; "after" does only where it opens one: "After a bad week, …".
fn concedes(tokens: &[Token<'_>], at: usize, start: usize) -> bool {
    let Some(token) = tokens
        .get(at)
        .filter(|token| token.word().is(Role::Concede))
    else {
        return false;
    };
    let turns = token.word().is(Role::But) && opens_clause(tokens, at);
    let ends = tokens.get(at + 1).is_none_or(|next| next.kind == Kind::End);
    !turns && !ends && (at == start || token.text != "after")
}

/// "Yet" and "still" contrast only where a clause begins; "but" always does.
fn opens_clause(tokens: &[Token<'_>], at: usize) -> bool {
    let text = tokens.get(at).map_or("", |token| &token.text);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    !matches!(text, "yet" | "still" | "though" | "instead") || before.is_none_or(Token::is_break)
}

/// The feelings that begin within these tokens.
fn within<'a>(feelings: &'a mut [Feeling], tokens: &Range<usize>) -> &'a mut [Feeling] {
    let start = feelings.partition_point(|feeling| feeling.first < tokens.start);
    let end = feelings.partition_point(|feeling| feeling.first < tokens.end);
    feelings.get_mut(start..end).unwrap_or_default()
}

fn scale(feelings: &mut [Feeling], tokens: &Range<usize>, factor: f32) {
    for feeling in within(feelings, tokens) {
        feeling.strength *= factor;
    }
}

/// One side outweighs the other when it is this many times as heavy.
const OUTWEIGHS: f32 = 1.3;
/// Stronger feelings keep their mark whatever else the text says: who was happy wants to see that,
/// even where the sentence ends badly.
const FAINT: f32 = 1.3;

/// Where one side outweighs the other but does not outnumber it, leaves out the faintest of the other.
pub fn settle(feelings: &mut Vec<Feeling>) {
    let weight = |sign: f32| {
        feelings
            .iter()
            .map(|one| (one.strength * sign).max(0.0))
            .sum::<f32>()
    };
    let (good, bad) = (weight(1.0), weight(-1.0));
    let heavy = if good > bad * OUTWEIGHS {
        1.0
    } else if bad > good * OUTWEIGHS {
        -1.0
    } else {
        return;
    };
    let count = |sign: f32| {
        feelings
            .iter()
            .filter(|one| one.strength * sign > 0.0)
            .count()
    };
    let Some(surplus) = (count(-heavy) + 1).checked_sub(count(heavy)) else {
        return;
    };
    let faint = |one: &Feeling| one.strength * heavy < 0.0 && one.strength.abs() < FAINT;
    let mut faintest: Vec<(f32, usize)> = feelings
        .iter()
        .filter(|one| faint(one))
        .map(|one| (one.strength.abs(), one.first))
        .collect();
    faintest.sort_by(|a, b| a.0.total_cmp(&b.0));
    faintest.truncate(surplus);
    let mut dropped: Vec<usize> = faintest.into_iter().map(|(_, first)| first).collect();
    dropped.sort_unstable();
    feelings.retain(|one| dropped.binary_search(&one.first).is_err());
}
