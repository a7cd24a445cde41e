//! Named sets of words that rules refer to, from `word_sets.tsv`.

use std::sync::LazyLock;

/// Declares the sets and their names in `word_sets.tsv`.
macro_rules! word_sets {
    ($($(#[$doc:meta])* $set:ident = $name:literal,)*) => {
        /// A set of words. Unlike a role, membership depends on the exact spelling: "joy" is a first name, "joys" is not.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum WordSet {
            $($(#[$doc])* $set,)*
        }

        impl WordSet {
            /// All sets with their names, in the order of their discriminants.
            const NAMED: &[(Self, &str)] = &[$((Self::$set, $name),)*];
        }
    };
}

word_sets! {
    /// Words of feeling that are also first names.
    FirstName = "first-name",
    /// Words that may connect the capitalized words of a title.
    TitleLink = "title-link",
    /// Praise that may be sarcastic.
    Praise = "praise",
    /// Words that may precede sarcastic praise.
    Sigh = "sigh",
    /// The pronoun "I".
    I = "i",
    /// "I" with its verb.
    IAm = "i-am",
    /// Verbs that can go well.
    WellVerb = "well-verb",
    /// Makes "well" an adverb of addition: "as well".
    BeforeWell = "before-well",
    /// Says that a negative feeling has ended.
    Ended = "ended",
    /// Says that a negative feeling is getting weaker.
    Improving = "improving",
    /// Adverbs that may precede the two above.
    ProgressAdverb = "progress-adverb",
    /// Joins two feelings under one linking verb.
    FeelingJoiner = "feeling-joiner",
    /// Joins two feelings under one negation.
    Conjunction = "conjunction",
    /// Joins two feelings under one negation in a negated list.
    NegatedConjunction = "negated-conjunction",
    /// May stand between a verb of opinion and the opinion.
    OpinionLink = "opinion-link",
    /// The conjunction of alternatives.
    Or = "or",
    /// Negates only the next word.
    Less = "less",
    /// Negates, except in the idioms with `BeforeLeast`.
    Least = "least",
    /// Forms an idiom with "least" that does not negate.
    BeforeLeast = "before-least",
    /// Negates, except with comparatives and words of degree.
    Never = "never",
    /// Negates, except with comparatives.
    Inability = "inability",
    /// Negates, except with comparatives after `Ability`.
    Not = "not",
    /// Verbs of ability.
    Ability = "ability",
    /// Negates, except with words of degree.
    PerfectNegation = "perfect-negation",
    /// Forms a comparative.
    More = "more",
    /// Words of degree.
    Degree = "degree",
    /// The word of degree that may stand two words before its feeling: "such a good".
    Such = "such",
    /// Amount, to which a word of degree may refer.
    Much = "much",
    /// Words of degree before an amount.
    AmountDegree = "amount-degree",
    /// Introduces a comparison after a feeling.
    ComparisonLink = "comparison-link",
    /// Negates the feeling as its object.
    Nothing = "nothing",
    /// Degree that rules out the infinitive after it.
    Too = "too",
    /// Introduces an infinitive.
    To = "to",
    /// Says that a feeling is in the past.
    PastHabit = "past-habit",
    /// Expresses a wish only before an infinitive.
    InfinitiveWish = "infinitive-wish",
    /// Expresses a wish, unless a word of `AfterHad` shows that it is short for "had".
    WouldContraction = "would-contraction",
    /// Shows that "'d" is short for "had".
    AfterHad = "after-had",
    /// The strongest word of contrast.
    But = "but",
    /// Words of contrast only at the start of a clause.
    ClauseContrast = "clause-contrast",
    /// Words of concession only at the start of a sentence.
    SentenceConcession = "sentence-concession",
}

impl WordSet {
    /// Returns whether the set contains `word`, in lower case.
    pub fn contains(self, word: &str) -> bool {
        WORDS
            .get(self as usize)
            .is_some_and(|words| words.contains(&word))
    }
}

/// The words of each set, indexed by the set's discriminant.
static WORDS: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let words_of = |name: &str| {
        lines()
            .find_map(|(set, words)| (set == name).then(|| words.split(' ').collect()))
            .unwrap_or_default()
    };
    WordSet::NAMED
        .iter()
        .map(|(_, name)| words_of(name))
        .collect()
});

/// The lines of the table: the name of a set, and its words separated by spaces.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("word_sets.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_one_line_and_every_line_a_set() {
        let names: Vec<&str> = WordSet::NAMED.iter().map(|(_, name)| *name).collect();
        let lines: Vec<&str> = lines().map(|(name, _)| name).collect();
        assert_eq!(names, lines);
        for (index, (set, name)) in WordSet::NAMED.iter().enumerate() {
            assert_eq!(*set as usize, index, "{name}");
        }
    }

    #[test]
    fn sets_contain_exact_words() {
        assert!(WordSet::FirstName.contains("joy"));
        assert!(!WordSet::FirstName.contains("joys"));
        assert!(!WordSet::FirstName.contains(""));
    }
}
