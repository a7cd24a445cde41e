//! Detects sentences in other languages by their frequent words.

use super::{
    tokens::{Kind, Token},
    word::{Role, Word},
};

/// Evidence for English and for other languages.
#[derive(Clone, Copy, Default)]
struct Evidence {
    english: u32,
    foreign: u32,
}

impl Evidence {
    fn from_tokens(tokens: &[Token<'_>]) -> Self {
        let mut evidence = Self::default();
        for token in tokens {
            let word = token.word();
            if word.is(Role::English) {
                evidence.english += 2;
            } else if word.is(Role::Foreign) {
                evidence.foreign += 2;
            } else if word == Word::default()
                && matches!(token.kind, Kind::Word(_))
                && !token.text.is_ascii()
            {
                // An accent is weak evidence, because English has words such as "café".
                evidence.foreign += 1;
            }
        }
        evidence
    }
}

/// Returns, for each token, whether it belongs to a sentence in another language.
pub fn foreign_tokens(tokens: &[Token<'_>]) -> Vec<bool> {
    let whole = Evidence::from_tokens(tokens);
    let mut foreign = Vec::with_capacity(tokens.len());
    for sentence in tokens.split_inclusive(|token| token.kind == Kind::SentenceEnd) {
        let own = Evidence::from_tokens(sentence);
        // Without evidence of its own, a sentence has the language of the whole text.
        let evidence = if own.english == own.foreign {
            whole
        } else {
            own
        };
        let is_foreign = evidence.foreign > evidence.english;
        foreign.resize(foreign.len() + sentence.len(), is_foreign);
    }
    foreign
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::tokens::tokenize;

    fn foreign_share(text: &str) -> f64 {
        let foreign = foreign_tokens(&tokenize(text));
        foreign.iter().filter(|foreign| **foreign).count() as f64 / foreign.len() as f64
    }

    #[test]
    fn detects_other_languages() {
        for text in [
            "Heute war ich im Kino und die Musik war gut.",
            "Je suis allé au marché avec ma sœur.",
            "Hoy fui al mercado con mi hermana.",
            "Oggi sono andato al mercato con mia sorella.",
            "Vandaag ben ik naar de markt geweest.",
            "Idag gick jag till affären och köpte bröd.",
            "Dzisiaj poszłam na targ z siostrą.",
        ] {
            assert_eq!(foreign_share(text), 1.0, "{text}");
        }
    }

    #[test]
    fn accepts_short_english() {
        for text in [
            "Great day!",
            "Delicious cake, amazing concert.",
            "Went to the café with Zoë.",
            "I am so tired",
            "War on Tuesday's news.",
        ] {
            assert_eq!(foreign_share(text), 0.0, "{text}");
        }
    }

    #[test]
    fn detects_the_language_of_each_sentence() {
        let share = foreign_share(
            "I had such a lovely day with you. Ich bin so müde und gehe jetzt ins Bett.",
        );
        assert!(share > 0.3 && share < 0.8);
    }
}
