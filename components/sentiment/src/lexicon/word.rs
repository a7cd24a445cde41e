//! What the tables say about a word.

/// Context that a word needs to its left in order to express a feeling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Context {
    /// Any context.
    #[default]
    Any,
    /// A linking verb or a booster: "was so kind".
    Linked,
    /// A verb of feeling: "felt low".
    Felt,
    /// The subject is a person: "I like", in contrast to "looks like".
    Person,
    /// A verb that can go well: "slept well", unlike "as well".
    WellVerb,
}

impl Context {
    /// Returns the context with this name in the third column of `diary.tsv`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "linked" => Self::Linked,
            "felt" => Self::Felt,
            "person" => Self::Person,
            "well-verb" => Self::WellVerb,
            _ => return None,
        })
    }
}

/// Grammatical role of a word, as one bit of [`Word::roles`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u16)]
pub enum Role {
    /// Negates the feelings that follow: "not".
    Negation = 1,
    /// Strengthens what follows: "very".
    Booster = 1 << 1,
    /// Weakens what follows: "slightly".
    Dampener = 1 << 2,
    /// Links a subject to a state: "was", "seemed".
    LinkingVerb = 1 << 3,
    /// A verb of feeling: "felt".
    FeelingVerb = 1 << 4,
    /// Occurs before a verb such as "like" if a person does it: "we", "really", "don't".
    PersonContext = 1 << 5,
    /// Starts a new statement, to which an earlier negation does not apply: "she".
    Subject = 1 << 6,
    /// Does not count against the scope of a negation: "the".
    Transparent = 1 << 7,
    /// A word such as "but": the text after it counts more than the text before it.
    Contrast = 1 << 8,
    /// Its own clause counts less: "although".
    Concession = 1 << 9,
    /// Ends the scope of a negation: "because".
    ScopeEnd = 1 << 10,
    /// What follows is wished for or imagined, not felt: "would".
    Hypothetical = 1 << 11,
    /// A verb whose negation applies to the opinion: "I don't think it was good".
    OpinionVerb = 1 << 12,
    /// A frequent English word.
    English = 1 << 13,
    /// A frequent word of another language that is not an English word.
    Foreign = 1 << 14,
    /// First word of a phrase in the tables.
    StartsPhrase = 1 << 15,
}

impl Role {
    /// Returns the role with this name in `grammar.tsv`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "negation" => Self::Negation,
            "booster" => Self::Booster,
            "dampener" => Self::Dampener,
            "linking-verb" => Self::LinkingVerb,
            "feeling-verb" => Self::FeelingVerb,
            "person-context" => Self::PersonContext,
            "subject" => Self::Subject,
            "transparent" => Self::Transparent,
            "contrast" => Self::Contrast,
            "concession" => Self::Concession,
            "scope-end" => Self::ScopeEnd,
            "hypothetical" => Self::Hypothetical,
            "opinion-verb" => Self::OpinionVerb,
            "english" => Self::English,
            "foreign" => Self::Foreign,
            _ => return None,
        })
    }
}

/// Valence and roles of a word. The default is that of an unknown word.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Word {
    /// Valence from -4 (most negative) to 4 (most positive); 0 if the word expresses no feeling.
    pub valence: f32,
    /// Context that the valence depends on.
    pub context: Context,
    roles: u16,
}

impl Word {
    /// Returns a word with a valence and no roles.
    pub fn with_valence(valence: f32, context: Context) -> Self {
        Self {
            valence,
            context,
            roles: 0,
        }
    }

    /// Returns a word with roles and no valence.
    pub fn with_roles(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            roles: mask(roles),
            ..Self::default()
        }
    }

    /// Returns this word with the roles of `other` added, and its valence if it has one.
    pub fn merge(self, other: Self) -> Self {
        let rated = if other.valence == 0.0 { self } else { other };
        Self {
            roles: self.roles | other.roles,
            ..rated
        }
    }

    /// Returns this word with its valence multiplied by `factor`.
    pub fn scale(self, factor: f32) -> Self {
        Self {
            valence: self.valence * factor,
            ..self
        }
    }

    /// Returns whether the word has this role.
    pub fn is(self, role: Role) -> bool {
        self.roles & role as u16 != 0
    }

    /// Returns whether the word has at least one of these roles.
    pub fn is_any<const N: usize>(self, roles: [Role; N]) -> bool {
        self.roles & mask(roles) != 0
    }
}

fn mask(roles: impl IntoIterator<Item = Role>) -> u16 {
    roles.into_iter().fold(0, |mask, role| mask | role as u16)
}
