//! Marks the words of a text that carry a feeling, by word list and rules, with no help from outside.

mod feelings;
mod language;
mod needs;
mod reach;
mod tokens;
mod weight;
mod words;

use std::ops::Range;

use crate::markup::{Mark, Polarity};
use feelings::Feeling;
use tokens::{Kind, Token};

/// The marks of `text`, in order and apart from each other, on word boundaries.
///
/// English is understood; sentences in another language are marked for their
/// emoji only. Where feelings contradict each other and one side outweighs the
/// other, the faintest marks of the lighter side are left out, so that counting
/// marks gives the polarity of the whole.
pub fn analyze(text: &str) -> Vec<Mark> {
    let tokens = tokens::tokenize(text);
    let muted = language::not_english(&tokens);
    let mut feelings = feelings::find(&tokens, &muted);
    reach::apply(&tokens, &mut feelings);
    weight::emphasise(text, &tokens, &mut feelings);
    weight::contrast(&tokens, &mut feelings);
    weight::settle(&mut feelings);
    marks(&tokens, &feelings)
}

/// Whether `text` is an emoticon, such as `:)`, that carries a feeling.
pub fn is_emoticon(text: &str) -> bool {
    text.is_ascii() && words::symbol(text).is_some()
}

fn marks(tokens: &[Token<'_>], feelings: &[Feeling]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::with_capacity(feelings.len());
    let mut previous: Option<&Feeling> = None;
    for feeling in feelings {
        let free = previous.map_or(0, |previous| previous.last + 1);
        let Some(range) = extent(tokens, feeling, free) else {
            continue;
        };
        let polarity = if feeling.strength > 0.0 {
            Polarity::Positive
        } else {
            Polarity::Negative
        };
        let joined = marks.last_mut().filter(|mark| {
            // A row of emoji is one feeling.
            mark.polarity == polarity
                && mark.range.end == range.start
                && [Some(feeling), previous]
                    .into_iter()
                    .flatten()
                    .all(|one| is_symbol(tokens, one))
        });
        match joined {
            Some(mark) => mark.range.end = range.end,
            None => marks.push(Mark { range, polarity }),
        }
        previous = Some(feeling);
    }
    marks
}

fn is_symbol(tokens: &[Token<'_>], feeling: &Feeling) -> bool {
    let first = tokens.get(feeling.first).map(|token| token.kind);
    matches!(first, Some(Kind::Symbol(_)))
}

/// How many words a mark may take in between a negation and its feeling.
const NEAR: usize = 3;

/// From the negation, when it stands near, to the end of the feeling.
fn extent(tokens: &[Token<'_>], feeling: &Feeling, free: usize) -> Option<Range<usize>> {
    let negation = feeling
        .negation
        .filter(|at| *at >= free && feeling.first - at <= NEAR);
    let first = tokens.get(negation.unwrap_or(feeling.first))?;
    let last = tokens.get(feeling.last)?;
    Some(first.range.start..last.range.end)
}
