//! Looks up words in any form: stretched, inflected, hyphenated, or negated by a prefix.

use std::borrow::Cow;

use super::{
    tables,
    word::{Context, Word},
};

/// Returns what the tables say about a lower-case word, or about the word that it is a form of.
///
/// Forms are stretched ("soooo"), inflected ("hugged"), hyphenated ("stress-free") or negated ("unloved").
pub fn look_up(word: &str) -> Word {
    tables::word(word)
        .or_else(|| word.contains('-').then(|| hyphenated(word)).flatten())
        .or_else(|| {
            word.strip_suffix("'s")
                .and_then(tables::word)
                .filter(|base| base.context == Context::Any)
        })
        .or_else(|| stretched(word))
        .or_else(|| inflected(word))
        .or_else(|| negated(word))
        .unwrap_or_default()
}

/// Least valence, positive or negative, of a word whose unlisted forms take its valence.
const MIN_VALENCE: f32 = 1.2;
/// Factor on the valence of a word that "-free" turns into its opposite.
const FREE_FACTOR: f32 = -0.8;
/// Factor on the valence of a word that "un" turns into its opposite.
const UN_FACTOR: f32 = -0.75;

/// Looks up the base of an unlisted form. Short and weak words are left out: too many unrelated words contain them.
fn base_word(base: &str) -> Option<Word> {
    let is_strong = |word: &Word| word.context == Context::Any && word.valence.abs() >= MIN_VALENCE;
    (base.len() >= 4)
        .then(|| tables::word(base))
        .flatten()
        .filter(is_strong)
}

fn hyphenated(word: &str) -> Option<Word> {
    if let Some(base) = word.strip_suffix("-free") {
        let relief = base_word(base).filter(|base| base.valence < 0.0);
        return relief.map(|base| base.scale(FREE_FACTOR));
    }
    tables::word(&word.replace('-', ""))
}

/// Shortens runs of a letter to two and then to one: "gooood" is "good", "soooo" is "so".
fn stretched(word: &str) -> Option<Word> {
    let bytes = word.as_bytes();
    if !bytes
        .windows(3)
        .any(|three| three.iter().all(|byte| Some(byte) == three.first()))
    {
        return None;
    }
    tables::word(&squeeze(word, 2)).or_else(|| tables::word(&squeeze(word, 1)))
}

/// Shortens runs of three or more of a letter to `length`.
fn squeeze(word: &str, length: usize) -> String {
    let letters: Vec<char> = word.chars().collect();
    let runs = letters.chunk_by(|a, b| a == b);
    runs.flat_map(|run| {
        run.iter()
            .take(if run.len() > 2 { length } else { run.len() })
    })
    .collect()
}

/// Replaces an inflectional ending by that of the base form.
fn inflected(word: &str) -> Option<Word> {
    const ENDINGS: [(&str, &[&str]); 9] = [
        ("iness", &["y"]),
        ("ness", &[""]),
        ("ing", &["", "e"]),
        ("ied", &["y"]),
        ("ies", &["y"]),
        ("ily", &["y"]),
        ("ed", &["", "e"]),
        ("ly", &["", "le"]),
        ("s", &[""]),
    ];
    if word.len() < 5 || !word.is_ascii() {
        return None;
    }
    ENDINGS.iter().find_map(|(ending, replacements)| {
        let stem = word.strip_suffix(ending)?;
        replacements.iter().find_map(|new| {
            let base = if new.is_empty() {
                Cow::from(stem)
            } else {
                Cow::from(format!("{stem}{new}"))
            };
            base_word(&base)
        })
    })
}

/// Removes the prefix "un" of a positive word.
fn negated(word: &str) -> Option<Word> {
    let base = base_word(word.strip_prefix("un")?)?;
    (base.valence > 0.0).then(|| Word::with_valence(base.valence * UN_FACTOR, Context::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::word::Role;

    #[test]
    fn a_word_may_have_a_valence_and_a_role() {
        let pretty = look_up("pretty");
        assert!(pretty.valence > 0.0 && pretty.is(Role::Booster));
    }

    #[test]
    fn unlisted_forms_take_the_valence_of_their_base() {
        for (word, sign) in [
            ("happyyyy", 1.0),
            ("soooo", 0.0),
            ("amaaaazing", 1.0),
            ("unloved", -1.0),
            ("stress-free", 1.0),
            ("heart-broken", -1.0),
        ] {
            let valence = look_up(word).valence;
            assert_eq!(
                if valence == 0.0 {
                    0.0
                } else {
                    valence.signum()
                },
                sign,
                "{word}"
            );
        }
    }

    #[test]
    fn words_that_resemble_forms_stay_neutral() {
        for word in [
            "under", "united", "need", "during", "species", "uncle", "only", "family",
        ] {
            assert_eq!(look_up(word).valence, 0.0, "{word}");
        }
    }
}
