//! View of the tokens and feelings before a feeling, for the rules about negation and wishes.

use super::{
    feelings::Feeling,
    tokens::Token,
    word::{Role, Word},
    word_set::WordSet,
};

/// The tokens of a text, and the feelings before the one that is examined.
pub struct Preceding<'a, 't> {
    /// All tokens of the text.
    pub tokens: &'a [Token<'t>],
    /// The earlier feelings, in order.
    pub feelings: &'a [Feeling],
}

impl<'a, 't> Preceding<'a, 't> {
    /// Returns the token at `at`.
    pub fn token(&self, at: Option<usize>) -> Option<&'a Token<'t>> {
        self.tokens.get(at?)
    }

    /// Returns the word at `at`; the default if there is none.
    pub fn word(&self, at: Option<usize>) -> Word {
        self.token(at).map(Token::word).unwrap_or_default()
    }

    /// Returns whether the word at `at` has this role.
    pub fn is(&self, at: Option<usize>, role: Role) -> bool {
        self.word(at).is(role)
    }

    /// Returns whether the word at `at` is in this set.
    pub fn is_in(&self, at: Option<usize>, set: WordSet) -> bool {
        self.token(at).is_some_and(|token| token.is_in(set))
    }

    /// Returns the earlier feeling or neutral phrase that contains the token at `at`.
    pub fn feeling(&self, at: usize) -> Option<&'a Feeling> {
        self.feelings
            .iter()
            .rev()
            .take_while(|feeling| feeling.last >= at)
            .find(|feeling| feeling.first <= at)
    }
}
