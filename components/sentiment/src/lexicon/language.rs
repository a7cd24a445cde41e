//! Tells which sentences are not English, by the short words that every sentence has.

use super::{
    tokens::{Kind, Token},
    words::{Role, Word},
};

/// What speaks for English and for another language.
#[derive(Clone, Copy, Default)]
struct Evidence {
    english: u32,
    foreign: u32,
}

impl Evidence {
    fn of(tokens: &[Token<'_>]) -> Self {
        let mut evidence = Self::default();
        for token in tokens {
            let word = token.word();
            if word.is(Role::En) {
                evidence.english += 2;
            } else if word.is(Role::Foreign) {
                evidence.foreign += 2;
            } else if word == Word::default()
                && matches!(token.kind, Kind::Word(_))
                && !token.text.is_ascii()
            {
                // An accent alone says little: English has cafés.
                evidence.foreign += 1;
            }
        }
        evidence
    }
}

/// For each token, whether it belongs to a sentence in another language.
pub fn not_english(tokens: &[Token<'_>]) -> Vec<bool> {
    let whole = Evidence::of(tokens);
    let mut muted = Vec::with_capacity(tokens.len());
    for sentence in tokens.split_inclusive(|token| token.kind == Kind::End) {
        let own = Evidence::of(sentence);
        // A sentence that says nothing about its language has that of the whole.
        let judged = if own.english == own.foreign {
            whole
        } else {
            own
        };
        let foreign = judged.foreign > judged.english;
        muted.resize(muted.len() + sentence.len(), foreign);
    }
    muted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::tokens::tokenize;

    fn foreign_share(text: &str) -> f64 {
        let muted = not_english(&tokenize(text));
        muted.iter().filter(|muted| **muted).count() as f64 / muted.len() as f64
    }

    #[test]
    fn other_languages_are_told_from_english() {
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
    fn short_and_plain_english_is_english() {
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
    fn each_sentence_is_judged_by_itself() {
        let share = foreign_share(
            "I had such a lovely day with you. Ich bin so müde und gehe jetzt ins Bett.",
        );
        assert!(share > 0.3 && share < 0.8);
    }
}
