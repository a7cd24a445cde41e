//! How the model's marks are kept for the next time the same text comes: without any of the text.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thought_diary::digest::hex;

use crate::{
    config::Model,
    markup::{Mark, Polarity},
    provider::PROMPT_VERSION,
};

/// Bytes of a kept value beyond which it is none of ours.
const LONGEST: usize = 64 * 1024;

/// Where the marks of a text are kept, whose keyed digest this is in
/// hexadecimal; `None` when it is none. What comes of it tells as little about
/// the text. Marks of another model, or by other instructions, are kept elsewhere.
pub fn key(model: &Model, digest: &str) -> Option<String> {
    let is_digest = digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mac = is_digest.then(|| Hmac::<Sha256>::new_from_slice(digest.as_bytes()))?;
    let mac = mac
        .ok()?
        .chain_update(model.url.to_string())
        .chain_update([0])
        .chain_update(&model.name)
        .chain_update([0, PROMPT_VERSION]);
    // One slot of a Redis cluster with what is known of the model.
    Some(format!("{{sentiment}}:marks:{}", hex(mac)))
}

/// Marks as text, such as `+0-5 -10-14`: polarity and range of bytes, in the text's order.
pub fn write(marks: &[Mark]) -> String {
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| mark.range.start);
    let one = |mark: &Mark| {
        let sign = match mark.polarity {
            Polarity::Positive => '+',
            Polarity::Negative => '-',
        };
        format!("{sign}{}-{}", mark.range.start, mark.range.end)
    };
    marks.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The marks of `text` that [`write`] wrote; `None` for what cannot be marks of
/// it: out of order, overlapping, empty, outside, or through a character.
pub fn read(value: &str, text: &str) -> Option<Vec<Mark>> {
    if value.len() > LONGEST {
        return None;
    }
    let mut done = 0;
    let pieces = value.split(' ').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let polarity = match piece.as_bytes().first()? {
                b'+' => Polarity::Positive,
                b'-' => Polarity::Negative,
                _ => return None,
            };
            let (start, end) = piece.get(1..)?.split_once('-')?;
            let range = start.parse().ok()?..end.parse().ok()?;
            let marked = text.get(range.clone())?;
            let fits = done <= range.start && !marked.is_empty();
            done = range.end;
            fits.then_some(Mark { range, polarity })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Polarity::{Negative, Positive};
    use proptest::prelude::*;

    fn mark(start: usize, end: usize, polarity: Polarity) -> Mark {
        Mark {
            range: start..end,
            polarity,
        }
    }

    #[test]
    fn marks_are_kept_as_places() {
        let marks = [mark(8, 11, Negative), mark(0, 5, Positive)];
        assert_eq!(write(&marks), "+0-5 -8-11");
        let [sad, happy] = marks;
        assert_eq!(
            read("+0-5 -8-11", "happy & sad"),
            Some(vec![happy, sad]),
            "in the text's order"
        );
        assert_eq!(read("", "Nothing"), Some(vec![]));
    }

    #[test]
    fn nonsense_is_no_marks() {
        let text = "happy é sad";
        for bad in [
            "x",
            "+",
            "+0",
            "+0-",
            "+-5",
            "0-5",
            "+0-5,-8-11",
            "+0-99",
            "+5-0",
            "+3-3",
            "+6-7",
            "+7-9",
            "+0-5 -4-8",
            "+8-11 -0-5",
            "*0-5",
            "+0--5",
            "+99999999999999999999-5",
            "<b>",
        ] {
            assert_eq!(read(bad, text), None, "{bad}");
        }
        assert_eq!(read(&"+0-5 ".repeat(5000), text), None);
    }

    proptest! {
        #[test]
        fn what_is_read_are_marks_of_the_text(value in "([+-][0-9]{1,2}-[0-9]{1,2} ?){0,5}|\\PC{0,20}", text in "\\PC{0,30}") {
            if let Some(marks) = read(&value, &text) {
                prop_assert_eq!(read(&write(&marks), &text), Some(marks.clone()));
                for mark in &marks {
                    prop_assert!(text.get(mark.range.clone()).is_some_and(|marked| !marked.is_empty()));
                }
                prop_assert!(marks.is_sorted_by(|a, b| a.range.end <= b.range.start));
            }
        }
    }
}
