//! Weighs feelings against each other, so that their marks add up to the polarity of the whole text.

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

/// What comes before "but" counts half and what comes after it more; a clause with "although" counts half.
pub fn contrast(tokens: &[Token<'_>], feelings: &mut [Feeling]) {
    for (at, token) in tokens.iter().enumerate() {
        let word = token.word();
        if word.is(Role::But) && opens_clause(tokens, at) {
            let sentence = sentence(tokens, at);
            let opening = sentence.start == at;
            let before = if opening {
                previous_sentence(tokens, at)
            } else {
                sentence.start..at
            };
            if feelings
                .iter()
                .any(|feeling| (at..sentence.end).contains(&feeling.first))
            {
                scale(feelings, before, if opening { 0.7 } else { 0.5 });
                scale(feelings, at..sentence.end, if opening { 1.2 } else { 1.4 });
            }
        } else if word.is(Role::Concede) && concedes(tokens, at) {
            let sentence = sentence(tokens, at);
            let clause = tokens.iter().skip(at).position(Token::is_break);
            let end = clause.map_or(sentence.end, |length| at + length);
            scale(feelings, at..end.min(sentence.end), 0.5);
        }
    }
}

/// "Though" at the end of a sentence concedes nothing; "after" does only where it opens one: "After a bad week, …".
fn concedes(tokens: &[Token<'_>], at: usize) -> bool {
    let opens = sentence(tokens, at).start == at;
    let is_after = tokens.get(at).is_some_and(|token| token.text == "after");
    let ends = tokens.get(at + 1).is_none_or(|next| next.kind == Kind::End);
    !ends && (opens || !is_after)
}

/// "Yet" and "still" contrast only where a clause begins; "but" always does.
fn opens_clause(tokens: &[Token<'_>], at: usize) -> bool {
    let text = tokens.get(at).map_or("", |token| &token.text);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    !matches!(text, "yet" | "still" | "though") || before.is_none_or(Token::is_break)
}

fn sentence(tokens: &[Token<'_>], at: usize) -> std::ops::Range<usize> {
    let is_end = |token: &Token<'_>| token.kind == Kind::End;
    let start = tokens
        .iter()
        .take(at)
        .rposition(is_end)
        .map_or(0, |end| end + 1);
    let end = tokens
        .iter()
        .skip(at)
        .position(is_end)
        .map_or(tokens.len(), |length| at + length);
    start..end
}

fn previous_sentence(tokens: &[Token<'_>], start: usize) -> std::ops::Range<usize> {
    let words = tokens.get(..start).unwrap_or_default();
    let last = words
        .iter()
        .rposition(|token| token.word() != Word::default());
    last.map_or(0..0, |last| sentence(tokens, last).start..start)
}

fn scale(feelings: &mut [Feeling], tokens: std::ops::Range<usize>, factor: f32) {
    for feeling in feelings
        .iter_mut()
        .filter(|feeling| tokens.contains(&feeling.first))
    {
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
    let count = |feelings: &[Feeling], sign: f32| {
        feelings
            .iter()
            .filter(|one| one.strength * sign > 0.0)
            .count()
    };
    while count(feelings, heavy) <= count(feelings, -heavy) {
        let faintest = feelings
            .iter()
            .enumerate()
            .filter(|(_, one)| one.strength * heavy < 0.0 && one.strength.abs() < FAINT)
            .min_by(|(_, a), (_, b)| a.strength.abs().total_cmp(&b.strength.abs()))
            .map(|(index, _)| index);
        let Some(faintest) = faintest else {
            return;
        };
        feelings.remove(faintest);
    }
}
