//! The labelled sentences, as `tests/data` has them.

use anyhow::{Context, Result};

/// What an entry says as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Polarity {
    /// More good than bad.
    Positive,
    /// More bad than good.
    Negative,
    /// Neither.
    Neutral,
}

impl Polarity {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Positive, Self::Negative, Self::Neutral];

    /// As the API and the files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Neutral => "neutral",
        }
    }

    /// The polarity of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// A file of sentences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// May be looked at while words and rules are changed.
    Tuning,
    /// Set aside: shows how well these do on what nobody looked at.
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
    /// The file it is in.
    pub part: Part,
    /// Unique in both files.
    pub id: String,
    /// `plain` or `hard`.
    pub difficulty: String,
    /// What it is an example of, such as `negated`.
    pub kind: String,
    /// What its writer says it says.
    pub label: Polarity,
    /// The sentence.
    pub text: String,
}

/// Reads a file of the repository.
///
/// # Errors
/// When it is missing or a line is not as it should be; the message has the line's number, not its text.
pub fn read(part: Part) -> Result<Vec<Sentence>> {
    let path = crate::workspace().join(part.file());
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().skip(1);
    lines
        .map(|(number, line)| {
            sentence(part, line).with_context(|| {
                format!(
                    "line {} of {} is not id, difficulty, kind, label and text",
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
        label: Polarity::named(&next()?)?,
        text: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_large_enough_and_a_third_is_hard() {
        for (part, least) in [(Part::Tuning, 400), (Part::HeldOut, 200)] {
            let sentences = read(part).unwrap();
            let hard = sentences.iter().filter(|one| one.difficulty == "hard");
            assert!(sentences.len() >= least, "{part:?}: {}", sentences.len());
            assert!(hard.count() * 100 >= least * 33, "{part:?}");
        }
    }

    #[test]
    fn a_line_with_an_unknown_label_is_refused() {
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tpositive\tGood.").is_some());
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tgood\tGood.").is_none());
        assert!(sentence(Part::Tuning, "d1\tplain\tsimple\tpositive").is_none());
    }
}
