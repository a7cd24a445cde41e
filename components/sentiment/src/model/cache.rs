//! Cache entries: the model's marks of a text as byte ranges, without the text.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thought_diary::digest::hex;

use super::features::PROMPT_VERSION;
use crate::{
    config::ModelConfig,
    markup::{Mark, Polarity},
};

/// Largest valid cache entry, in bytes.
const MAX_ENCODED: usize = 64 * 1024;

/// Place of a text's marks in the cache.
pub struct CacheSlot {
    /// Redis key; HMAC-SHA256 of the model's URL and name and of the prompt version, keyed with the text's digest.
    pub key: String,
    /// Lifetime of the marks.
    pub ttl: Duration,
}

impl CacheSlot {
    /// Returns the slot of the text whose HMAC-SHA256 is `digest`, 64 hexadecimal digits.
    ///
    /// `None` if `digest` is anything else or the cache is off.
    pub fn new(config: &ModelConfig, digest: &str) -> Option<Self> {
        let is_digest = digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit());
        let ttl = config.cache_ttl.filter(|_| is_digest)?;
        let mac = Hmac::<Sha256>::new_from_slice(digest.as_bytes())
            .ok()?
            .chain_update(config.url.to_string())
            .chain_update([0])
            .chain_update(&config.name)
            .chain_update([0, PROMPT_VERSION]);
        // The hash tag puts the marks into the same slot of a Redis cluster as the model's state.
        let key = format!("{{sentiment}}:marks:{}", hex(mac));
        Some(Self { key, ttl })
    }
}

/// Encodes marks as text such as `+0-5 -10-14`: polarity and byte range of each, in the text's order.
pub fn encode(marks: &[Mark]) -> String {
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| mark.range.start);
    let encode_one = |mark: &Mark| {
        let sign = match mark.polarity {
            Polarity::Positive => '+',
            Polarity::Negative => '-',
        };
        format!("{sign}{}-{}", mark.range.start, mark.range.end)
    };
    marks
        .into_iter()
        .map(encode_one)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Decodes marks of `text`; `None` if they are malformed, out of order, overlapping, empty, out of bounds or not on
/// character boundaries.
pub fn decode(value: &str, text: &str) -> Option<Vec<Mark>> {
    if value.len() > MAX_ENCODED {
        return None;
    }
    let mut previous_end = 0;
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
            let fits = previous_end <= range.start && !marked.is_empty();
            previous_end = range.end;
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
    fn encodes_marks_as_byte_ranges() {
        let marks = [mark(8, 11, Negative), mark(0, 5, Positive)];
        assert_eq!(encode(&marks), "+0-5 -8-11");
        let [sad, happy] = marks;
        assert_eq!(
            decode("+0-5 -8-11", "happy & sad"),
            Some(vec![happy, sad]),
            "in the text's order"
        );
        assert_eq!(decode("", "Nothing"), Some(vec![]));
    }

    #[test]
    fn rejects_what_are_not_marks_of_the_text() {
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
            assert_eq!(decode(bad, text), None, "{bad}");
        }
        assert_eq!(decode(&"+0-5 ".repeat(5000), text), None);
    }

    proptest! {
        #[test]
        fn decodes_only_valid_marks_of_the_text(value in "([+-][0-9]{1,2}-[0-9]{1,2} ?){0,5}|\\PC{0,20}", text in "\\PC{0,30}") {
            if let Some(marks) = decode(&value, &text) {
                prop_assert_eq!(decode(&encode(&marks), &text), Some(marks.clone()));
                for mark in &marks {
                    prop_assert!(text.get(mark.range.clone()).is_some_and(|marked| !marked.is_empty()));
                }
                prop_assert!(marks.is_sorted_by(|a, b| a.range.end <= b.range.start));
            }
        }
    }
}
