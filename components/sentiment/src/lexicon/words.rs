//! What a word feels like and which part it plays in its sentence, in whatever form it stands there.

use std::borrow::Cow;

use super::tables::exact;

/// What must stand before a word for it to carry a feeling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Need {
    /// Nothing: it always does.
    #[default]
    Nothing,
    /// A linking verb or an intensifier: "was so kind".
    Linked,
    /// A verb of feeling: "felt low".
    Felt,
    /// A person doing it: "I like", unlike "looks like".
    Person,
    /// A verb that can go well: "slept well", unlike "as well".
    Going,
}

/// A part a word plays, as one bit of [`Word::roles`]; the names are those of `grammar.tsv`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u16)]
pub enum Role {
    /// Turns a feeling that follows into its opposite.
    Not = 1,
    /// Makes what follows stronger.
    Boost = 1 << 1,
    /// Makes what follows weaker.
    Damp = 1 << 2,
    /// Links a subject to how it is: "was", "seemed".
    Link = 1 << 3,
    /// A verb of feeling.
    Feel = 1 << 4,
    /// May stand before a verb such as "like" when a person does it.
    Who = 1 << 5,
    /// Opens a new statement, which a negation before it does not reach.
    Subject = 1 << 6,
    /// Does not use up the reach of a negation.
    Skip = 1 << 7,
    /// Says that what follows counts more than what went before.
    But = 1 << 8,
    /// Says that its own clause counts less: "although".
    Concede = 1 << 9,
    /// Ends the reach of a negation.
    Stop = 1 << 10,
    /// Says that what follows is wished for or imagined, not felt.
    Irreal = 1 << 11,
    /// A verb whose negation belongs to what is thought: "don't think it was good".
    Raise = 1 << 12,
    /// A common English word.
    En = 1 << 13,
    /// A common word of another language, which English does not have.
    Foreign = 1 << 14,
    /// Begins a phrase of the tables.
    Opens = 1 << 15,
}

impl Role {
    /// The role that `grammar.tsv` calls so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "not" => Self::Not,
            "boost" => Self::Boost,
            "damp" => Self::Damp,
            "link" => Self::Link,
            "feel" => Self::Feel,
            "who" => Self::Who,
            "subject" => Self::Subject,
            "skip" => Self::Skip,
            "but" => Self::But,
            "concede" => Self::Concede,
            "stop" => Self::Stop,
            "irreal" => Self::Irreal,
            "raise" => Self::Raise,
            "en" => Self::En,
            "foreign" => Self::Foreign,
            _ => return None,
        })
    }
}

/// What the tables know of one word. The default is a word they do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Word {
    /// -4 (worst) to 4 (best); 0 for a word without a feeling.
    pub valence: f32,
    /// What the valence depends on.
    pub need: Need,
    roles: u16,
}

impl Word {
    /// A word that carries a feeling.
    pub fn with_feeling(valence: f32, need: Need) -> Self {
        Self {
            valence,
            need,
            roles: 0,
        }
    }

    /// A word that plays parts.
    pub fn with_roles(roles: impl Iterator<Item = Role>) -> Self {
        let roles = roles.fold(0, |all, role| all | role as u16);
        Self {
            roles,
            ..Self::default()
        }
    }

    /// This word with what else is known of it.
    pub fn and(self, other: Self) -> Self {
        let felt = if other.valence == 0.0 { self } else { other };
        Self {
            roles: self.roles | other.roles,
            ..felt
        }
    }

    /// Whether the word plays this part.
    pub fn is(self, role: Role) -> bool {
        self.roles & role as u16 != 0
    }
}

/// What is known of a lower-case word, also when it is stretched ("soooo"),
/// inflected, or negated by a prefix ("unloved").
pub fn look_up(word: &str) -> Word {
    exact(word)
        .or_else(|| word.contains('-').then(|| hyphenated(word)).flatten())
        .or_else(|| {
            word.strip_suffix("'s")
                .and_then(exact)
                .filter(|base| base.need == Need::Nothing)
        })
        .or_else(|| stretched(word))
        .or_else(|| inflected(word))
        .or_else(|| negated(word))
        .unwrap_or_default()
}

/// How strong a word must be for a form that the tables do not list to take its feeling.
const SURE: f32 = 1.2;

fn sure(base: &str) -> Option<Word> {
    let sure = |word: &Word| word.need == Need::Nothing && word.valence.abs() >= SURE;
    (base.len() >= 4)
        .then(|| exact(base))
        .flatten()
        .filter(sure)
}

fn hyphenated(word: &str) -> Option<Word> {
    if let Some(base) = word.strip_suffix("-free") {
        let relief = sure(base).filter(|base| base.valence < 0.0);
        return relief.map(|base| Word {
            valence: -base.valence * 0.8,
            ..base
        });
    }
    exact(&word.replace('-', ""))
}

/// "soooo" is "so", "happyyy" is "happy", "gooood" is "good".
fn stretched(word: &str) -> Option<Word> {
    let bytes = word.as_bytes();
    if !bytes
        .windows(3)
        .any(|three| three.iter().all(|byte| Some(byte) == three.first()))
    {
        return None;
    }
    exact(&squeeze(word, 2)).or_else(|| exact(&squeeze(word, 1)))
}

/// Shortens runs of three or more of a letter to `most`.
fn squeeze(word: &str, most: usize) -> String {
    let letters: Vec<char> = word.chars().collect();
    let runs = letters.chunk_by(|a, b| a == b);
    runs.flat_map(|run| {
        run.iter()
            .take(if run.len() > 2 { most } else { run.len() })
    })
    .collect()
}

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
            sure(&base)
        })
    })
}

fn negated(word: &str) -> Option<Word> {
    let base = sure(word.strip_prefix("un")?)?;
    (base.valence > 0.0).then(|| Word {
        valence: -base.valence * 0.75,
        ..Word::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_may_have_a_feeling_and_a_part() {
        let pretty = look_up("pretty");
        assert!(pretty.valence > 0.0 && pretty.is(Role::Boost));
    }

    #[test]
    fn forms_that_are_not_listed_take_the_feeling_of_their_word() {
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
    fn words_that_only_look_alike_stay_neutral() {
        for word in [
            "under", "united", "need", "during", "species", "uncle", "only", "family",
        ] {
            assert_eq!(look_up(word).valence, 0.0, "{word}");
        }
    }
}
