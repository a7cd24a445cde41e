//! The labeled sentences in `tests/data`.

use anyhow::{Context, Result};

/// The sentiment of an entry as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Polarity {
    /// More positive than negative.
    Positive,
    /// More negative than positive.
    Negative,
    /// Neither.
    Neutral,
}

impl Polarity {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Positive, Self::Negative, Self::Neutral];

    /// Returns the name in the API and in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Neutral => "neutral",
        }
    }

    /// Returns the polarity of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// A file of sentences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// May be read while words and rules are tuned.
    Tuning,
    /// Must not be read while tuning; shows how well words and rules do on new sentences.
    HeldOut,
}

impl Part {
    fn file(self) -> &'static str {
        match self {
            Self::Tuning => "tests/data/polarity.tsv",
            Self::HeldOut => "tests/data/polarity_held_out.tsv",
        }
    }
}

/// One line of a file.
#[derive(Debug)]
pub struct Sentence {
    /// Its file.
    pub part: Part,
    /// An id that is unique over both files.
    pub id: String,
    /// `plain` or `hard`.
    pub difficulty: String,
    /// The phenomenon that it is an example of, such as `negated`.
    pub kind: String,
    /// The sentiment that its author meant.
    pub label: Polarity,
    /// Its text.
    pub text: String,
}

/// Reads a file. Errors have a line's number, not its text.
///
/// # Errors
/// When the file is missing or a line has another format.
pub fn read(part: Part) -> Result<Vec<Sentence>> {
    let path = testbed::workspace().join(part.file());
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().skip(1);
    lines
        .map(|(number, line)| {
            sentence(part, line).with_context(|| {
                format!(
                    "line {} of {} does not have the columns id, difficulty, kind, label and text",
                    number + 1,
                    part.file()
                )
            })
        })
        .collect()
}

fn sentence(part: Part, line: &str) -> Option<Sentence> {
    let mut columns = line.splitn(5, '\t');
    let mut next = || columns.next().map(str::to_owned);
    Some(Sentence {
        part,
        id: next()?,
        difficulty: next()?,
        kind: next()?,
        label: Polarity::from_name(&next()?)?,
        text: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_large_and_a_third_is_hard() {
        for (part, least) in [(Part::Tuning, 400), (Part::HeldOut, 200)] {
            let sentences = read(part).unwrap();
            let hard = sentences.iter().filter(|one| one.difficulty == "hard");
            assert!(sentences.len() >= least, "{part:?}: {}", sentences.len());
            assert!(hard.count() * 100 >= least * 33, "{part:?}");
        }
    }

    #[test]
    fn refuses_a_line_with_an_unknown_label() {
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tpositive\tGood.").is_some());
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tgood\tGood.").is_none());
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tpositive").is_none());
    }
}
