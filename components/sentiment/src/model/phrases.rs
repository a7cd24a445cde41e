//! Finds a model's phrases in the text, even where the model did not copy them exactly.

use std::{collections::HashMap, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use crate::{
    lexicon,
    markup::{Mark, Polarity},
};

/// A phrase in the model's spelling, and its polarity. It is untrusted and must not reach a response or the log.
pub type Phrase = (String, Polarity);

/// Most phrases that are searched for; the longest ones are preferred.
const MAX_PHRASES: usize = 200;
/// Longest phrase that is searched for, in significant graphemes.
const MAX_PHRASE_LENGTH: usize = 200;
/// Longest phrase that is searched for, in bytes.
const MAX_PHRASE_BYTES: usize = 2000;

/// Returns marks for the phrases that occur in `text`.
///
/// Case, punctuation, the style of quotes, and the kind and amount of white space may differ. Longer phrases are
/// searched for first, so that "not happy" takes precedence over "happy". Each phrase marks its first occurrence on
/// word boundaries that is not marked yet; a phrase that is listed twice marks two occurrences.
pub fn locate(text: &str, phrases: &[Phrase]) -> Vec<Mark> {
    let mut keys = Keys::default();
    let graphemes = significant_graphemes(text, |grapheme| keys.insert(grapheme));
    let mut patterns: Vec<(Pattern<'_>, Polarity)> = phrases
        .iter()
        .filter_map(|(phrase, polarity)| Some((Pattern::new(phrase.trim(), &keys)?, *polarity)))
        .collect();
    patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.length()));
    let mut marks: Vec<Mark> = Vec::new();
    let mut taken = vec![false; graphemes.len()];
    for (pattern, polarity) in patterns.iter().take(MAX_PHRASES) {
        let found = match pattern {
            Pattern::Words(phrase) => take_first(&graphemes, &mut taken, phrase),
            Pattern::Emoticon(emoticon) => first_emoticon(text, emoticon, &marks),
        };
        marks.extend(found.map(|range| Mark {
            range,
            polarity: *polarity,
        }));
    }
    marks
}

/// A phrase, prepared for the search.
enum Pattern<'p> {
    /// Words, compared grapheme by grapheme.
    Words(Vec<Grapheme>),
    /// An emoticon, compared exactly because it consists of punctuation.
    Emoticon(&'p str),
}

impl<'p> Pattern<'p> {
    /// Returns `None` if the phrase is empty, too long, or has a grapheme that is not in the text.
    fn new(phrase: &'p str, keys: &Keys) -> Option<Self> {
        if lexicon::is_emoticon(phrase) {
            return Some(Self::Emoticon(phrase));
        }
        if phrase.len() > MAX_PHRASE_BYTES {
            return None;
        }
        let phrase = significant_graphemes(phrase, |grapheme| keys.get(grapheme));
        let fits = (1..=MAX_PHRASE_LENGTH).contains(&phrase.len());
        (fits && phrase.iter().all(|grapheme| grapheme.key != UNKNOWN))
            .then_some(Self::Words(phrase))
    }

    /// Returns the length that decides the order of the search. Emoticons come last.
    fn length(&self) -> usize {
        match self {
            Self::Words(phrase) => phrase.len(),
            Self::Emoticon(_) => 0,
        }
    }
}

/// Finds the first occurrence of an emoticon that is not part of a word and not marked yet.
fn first_emoticon(text: &str, emoticon: &str, marks: &[Mark]) -> Option<Range<usize>> {
    text.match_indices(emoticon)
        .map(|(start, emoticon)| start..start + emoticon.len())
        .find(|range| {
            let before = text
                .get(..range.start)
                .and_then(|before| before.chars().next_back());
            let after = text.get(range.end..).and_then(|after| after.chars().next());
            let is_boundary = |next: Option<char>| {
                next.is_none_or(|next| next.is_whitespace() || next.is_ascii_punctuation())
            };
            let is_unmarked = marks
                .iter()
                .all(|mark| mark.range.end <= range.start || range.end <= mark.range.start);
            is_boundary(before) && is_boundary(after) && is_unmarked
        })
}

/// Separator between two significant graphemes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gap {
    None,
    Punctuation,
    Space,
}

/// A significant grapheme: anything but white space and punctuation.
#[derive(Debug)]
struct Grapheme {
    /// Number from [`Keys`].
    key: u32,
    /// Byte range in the text or phrase.
    range: Range<usize>,
    /// Separator between the previous significant grapheme and this one.
    gap: Gap,
    /// Whether a word starts here.
    starts_word: bool,
    /// Whether a word ends here.
    ends_word: bool,
}

/// Numbers for graphemes. Graphemes that differ only in case or variation selector have the same number.
#[derive(Default)]
struct Keys {
    /// Numbers of graphemes with several characters. A single character is its own number.
    clusters: HashMap<String, u32>,
}

/// Key of a grapheme that does not occur in the text.
const UNKNOWN: u32 = u32::MAX;
/// First number above all characters.
const FIRST_CLUSTER: u32 = char::MAX as u32 + 1;

impl Keys {
    /// Returns the number of a grapheme of the text.
    fn insert(&mut self, grapheme: &str) -> u32 {
        let next = u32::try_from(self.clusters.len()).unwrap_or_default() + FIRST_CLUSTER;
        single_character(grapheme).unwrap_or_else(|| {
            let cluster = fold(grapheme).collect();
            *self.clusters.entry(cluster).or_insert(next)
        })
    }

    /// Returns the number of a grapheme of a phrase; [`UNKNOWN`] if the text does not contain it.
    fn get(&self, grapheme: &str) -> u32 {
        single_character(grapheme).unwrap_or_else(|| {
            let cluster: String = fold(grapheme).collect();
            self.clusters.get(&cluster).copied().unwrap_or(UNKNOWN)
        })
    }
}

/// Returns the number of a grapheme that is a single character when folded.
fn single_character(grapheme: &str) -> Option<u32> {
    let mut characters = fold(grapheme);
    let only = characters.next()?;
    characters.next().is_none().then_some(only.into())
}

/// Converts a grapheme to lower case and removes variation selectors.
fn fold(grapheme: &str) -> impl Iterator<Item = char> {
    let plain = grapheme
        .chars()
        .filter(|letter| !matches!(letter, '\u{FE0E}' | '\u{FE0F}'));
    plain.flat_map(char::to_lowercase)
}

/// Splits a text or phrase into its significant graphemes, with the keys that `key` returns for them.
fn significant_graphemes(text: &str, mut key: impl FnMut(&str) -> u32) -> Vec<Grapheme> {
    let mut bounds = text
        .split_word_bound_indices()
        .map(|(start, word)| start..start + word.len())
        .peekable();
    let mut gap = Gap::None;
    let mut graphemes = Vec::with_capacity(text.len());
    for (start, grapheme) in text.grapheme_indices(true) {
        let end = start + grapheme.len();
        while bounds.next_if(|word| word.end <= start).is_some() {}
        if !is_significant(grapheme) {
            let space = grapheme.chars().any(char::is_whitespace);
            gap = if space || gap == Gap::Space {
                Gap::Space
            } else {
                Gap::Punctuation
            };
            continue;
        }
        let starts_word = bounds.peek().is_none_or(|word| word.start == start);
        while bounds.next_if(|word| word.end < end).is_some() {}
        let ends_word = bounds.peek().is_none_or(|word| word.end == end);
        graphemes.push(Grapheme {
            key: key(grapheme),
            range: start..end,
            gap,
            starts_word,
            ends_word,
        });
        gap = Gap::None;
    }
    graphemes
}

/// Returns whether a grapheme must match: letters, digits, emoji and other symbols, but not white space or punctuation.
fn is_significant(grapheme: &str) -> bool {
    let Some(first) = grapheme.chars().next() else {
        return false;
    };
    let punctuation = matches!(first,
        '\u{2E00}'..='\u{2E7F}' | '\u{3000}'..='\u{303F}' | '\u{FE10}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF65}');
    first.is_alphanumeric() || first >= '\u{2070}' && !punctuation && !first.is_whitespace()
}

/// Finds the first occurrence of `phrase` in `text` that is not `taken`, takes it, and returns its byte range.
fn take_first(text: &[Grapheme], taken: &mut [bool], phrase: &[Grapheme]) -> Option<Range<usize>> {
    let last_start = text.len().checked_sub(phrase.len())?;
    let occurrence = (0..=last_start)
        .map(|start| start..start + phrase.len())
        .find(|range| {
            let is_match = text
                .get(range.clone())
                .is_some_and(|candidate| is_match(candidate, phrase));
            is_match
                && taken
                    .get(range.clone())
                    .is_some_and(|taken| !taken.contains(&true))
        })?;
    taken.get_mut(occurrence.clone())?.fill(true);
    let occurrence = text.get(occurrence)?;
    Some(occurrence.first()?.range.start..occurrence.last()?.range.end)
}

/// Returns whether a piece of the text starts and ends on word boundaries and matches a phrase of the same length.
fn is_match(candidate: &[Grapheme], phrase: &[Grapheme]) -> bool {
    let on_boundaries = candidate.first().is_some_and(|first| first.starts_word)
        && candidate.last().is_some_and(|last| last.ends_word);
    on_boundaries
        && candidate
            .iter()
            .zip(phrase)
            .enumerate()
            .all(|(index, (ours, theirs))| {
                ours.key == theirs.key && (index == 0 || is_gap_match(ours.gap, theirs.gap))
            })
}

/// Returns whether two separators match: "heart-broken" matches "heart broken" and "heartbroken", but "now here" does
/// not match "nowhere".
fn is_gap_match(text: Gap, phrase: Gap) -> bool {
    text == phrase || text == Gap::Punctuation || phrase == Gap::Punctuation
}

#[cfg(test)]
mod tests {
    use super::{
        Polarity::{Negative, Positive},
        *,
    };
    use crate::markup::render;

    fn marked(text: &str, phrases: &[(&str, Polarity)]) -> String {
        let phrases: Vec<_> = phrases
            .iter()
            .map(|(phrase, polarity)| (phrase.to_string(), *polarity))
            .collect();
        let html = render(text, &locate(text, &phrases)).html;
        html.replace("<span class=\"positive\">", "[+")
            .replace("<span class=\"negative\">", "[-")
            .replace("</span>", "]")
    }

    #[test]
    fn marks_the_first_unmarked_occurrence() {
        let text = "happy, happy and happy";
        assert_eq!(
            marked(text, &[("happy", Positive)]),
            "[+happy], happy and happy"
        );
        assert_eq!(
            marked(text, &[("happy", Positive), ("happy", Negative)]),
            "[+happy], [-happy] and happy"
        );
        assert_eq!(
            marked(text, &[("happy", Positive); 9]),
            "[+happy], [+happy] and [+happy]"
        );
    }

    #[test]
    fn prefers_longer_phrases_and_marks_nothing_twice() {
        let phrases = [
            ("happy", Positive),
            ("not happy", Negative),
            ("was not happy at all", Negative),
        ];
        assert_eq!(
            marked("I was not happy at all.", &phrases),
            "I [-was not happy at all]."
        );
        assert_eq!(
            marked("a bad day", &[("bad day", Negative), ("a bad", Negative)]),
            "a [-bad day]"
        );
    }

    #[test]
    fn matches_whole_words_only() {
        assert_eq!(
            marked("unhappy happiness", &[("happy", Positive)]),
            "unhappy happiness"
        );
        assert_eq!(marked("nowhere", &[("now here", Negative)]), "nowhere");
        assert_eq!(marked("I don't", &[("don", Negative)]), "I don&#39;t");
    }

    #[test]
    fn ignores_case_quotes_punctuation_and_white_space() {
        assert_eq!(
            marked("I Don’t\n  FEEL   good!", &[("don't feel good", Negative)]),
            "I [-Don’t\n  FEEL   good]!"
        );
        assert_eq!(
            marked("so heart-broken", &[("“heart broken”.", Negative)]),
            "so [-heart-broken]"
        );
        assert_eq!(
            marked("It was - well, great", &[("was well great", Positive)]),
            "It [+was - well, great]"
        );
    }

    #[test]
    fn finds_other_scripts_and_emoji() {
        assert_eq!(
            marked("今日は楽しい一日", &[("楽しい", Positive)]),
            "今日は[+楽しい]一日"
        );
        assert_eq!(
            marked("was für ein schöner Tag", &[("SCHÖNER Tag", Positive)]),
            "was für ein [+schöner Tag]"
        );
        assert_eq!(marked("so ❤️ good", &[("❤", Positive)]), "so [+❤️] good");
        assert_eq!(marked("👍🏽👍", &[("👍", Positive)]), "👍🏽[+👍]");
        assert_eq!(marked("I'd go :D", &[(":D", Positive)]), "I&#39;d go [+:D]");
    }

    #[test]
    fn ignores_phrases_that_are_not_in_the_text() {
        let phrases = [
            ("wonderful", Positive),
            ("", Negative),
            ("...", Negative),
            ("<b>", Negative),
            ("\u{301}", Negative),
        ];
        assert_eq!(marked("Nothing... here", &phrases), "Nothing... here");
    }

    #[test]
    fn limits_the_number_of_phrases() {
        let text = "word ".repeat(1000);
        let phrases = vec![("word".to_string(), Negative); 5000];
        let marks = locate(&text, &phrases);
        assert_eq!(marks.len(), MAX_PHRASES);
        assert_eq!(render(&text, &marks).negative_count as usize, MAX_PHRASES);
    }

    #[test]
    fn escapes_markup_in_the_text() {
        let text = "<script>alert(\"love & 'hate'\")</script>";
        let html = marked(text, &[("love", Positive), ("</script>", Negative)]);
        assert_eq!(
            html,
            "&lt;[-script]&gt;alert(&quot;[+love] &amp; &#39;hate&#39;&quot;)&lt;/script&gt;"
        );
    }
}
