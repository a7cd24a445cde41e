//! Finds a model's phrases in the text, however loosely the model copied them.

use std::{collections::HashMap, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use super::{Mark, Polarity};
use crate::lexicon;

/// Phrases beyond this number are not looked for; the longest come first.
const MOST_PHRASES: usize = 200;
/// Longer phrases, in graphemes that count, are no phrases and are not looked for.
const LONGEST_PHRASE: usize = 200;
/// Nor are those with more bytes than this.
const MOST_BYTES: usize = 2000;

/// Finds a model's phrases in the text.
///
/// Case, punctuation, the style of quotes and the kind and amount of white
/// space may differ. Each phrase takes its earliest occurrence on word
/// boundaries that no mark has taken yet, long phrases before short ones, so
/// that "not happy" is found before "happy". A phrase that is given twice takes
/// two occurrences; one that is not in the text is ignored.
pub fn locate(text: &str, phrases: &[(String, Polarity)]) -> Vec<Mark> {
    let mut keys = Keys::default();
    let units = units(text, |grapheme| keys.add(grapheme));
    let mut wanted: Vec<(Wanted<'_>, Polarity)> = phrases
        .iter()
        .filter_map(|(phrase, polarity)| Some((Wanted::new(phrase.trim(), &keys)?, *polarity)))
        .collect();
    wanted.sort_by_key(|(wanted, _)| std::cmp::Reverse(wanted.length()));
    let mut marks: Vec<Mark> = Vec::new();
    let mut taken = vec![false; units.len()];
    for (wanted, polarity) in wanted.iter().take(MOST_PHRASES) {
        let found = match wanted {
            Wanted::Words(phrase) => first_free(&units, &mut taken, phrase),
            Wanted::Face(face) => first_face(text, face, &marks),
        };
        marks.extend(found.map(|range| Mark {
            range,
            polarity: *polarity,
        }));
    }
    marks
}

/// A phrase to look for.
enum Wanted<'p> {
    /// Compared grapheme by grapheme.
    Words(Vec<Unit>),
    /// An emoticon, which is all punctuation: compared as it is.
    Face(&'p str),
}

impl<'p> Wanted<'p> {
    /// `None` for what cannot be in the text.
    fn new(phrase: &'p str, keys: &Keys) -> Option<Self> {
        if lexicon::is_emoticon(phrase) {
            return Some(Self::Face(phrase));
        }
        if phrase.len() > MOST_BYTES {
            return None;
        }
        let phrase = units(phrase, |grapheme| keys.find(grapheme));
        let fits = (1..=LONGEST_PHRASE).contains(&phrase.len());
        (fits && phrase.iter().all(|unit| unit.key != UNKNOWN)).then_some(Self::Words(phrase))
    }

    fn length(&self) -> usize {
        match self {
            Self::Words(phrase) => phrase.len(),
            Self::Face(_) => 0,
        }
    }
}

/// The earliest place where an emoticon stands by itself and nothing is marked.
fn first_face(text: &str, face: &str, marks: &[Mark]) -> Option<Range<usize>> {
    text.match_indices(face)
        .map(|(start, face)| start..start + face.len())
        .find(|place| {
            let before = text
                .get(..place.start)
                .and_then(|before| before.chars().next_back());
            let after = text.get(place.end..).and_then(|after| after.chars().next());
            let alone = |next: Option<char>| {
                next.is_none_or(|next| next.is_whitespace() || next.is_ascii_punctuation())
            };
            let free = marks
                .iter()
                .all(|mark| mark.range.end <= place.start || place.end <= mark.range.start);
            alone(before) && alone(after) && free
        })
}

/// What parts two graphemes that count.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gap {
    None,
    Punctuation,
    Space,
}

/// A grapheme that counts when text and phrase are compared: no white space, no punctuation.
#[derive(Debug)]
struct Unit {
    key: u32,
    range: Range<usize>,
    /// What stands between it and the one before.
    gap: Gap,
    /// Whether a word begins with it.
    opens: bool,
    /// Whether a word ends with it.
    closes: bool,
}

/// Numbers for graphemes, the same for those that differ only in case and variation.
#[derive(Default)]
struct Keys {
    /// Those of several characters; one of a single character is its own number.
    clusters: HashMap<String, u32>,
}

/// The key of a grapheme that the text does not have.
const UNKNOWN: u32 = u32::MAX;
/// Numbers from here on are no characters.
const FIRST_CLUSTER: u32 = char::MAX as u32 + 1;

impl Keys {
    fn add(&mut self, grapheme: &str) -> u32 {
        let next = u32::try_from(self.clusters.len()).unwrap_or_default() + FIRST_CLUSTER;
        single(grapheme).unwrap_or_else(|| {
            let cluster = fold(grapheme).collect();
            *self.clusters.entry(cluster).or_insert(next)
        })
    }

    fn find(&self, grapheme: &str) -> u32 {
        single(grapheme).unwrap_or_else(|| {
            let cluster: String = fold(grapheme).collect();
            self.clusters.get(&cluster).copied().unwrap_or(UNKNOWN)
        })
    }
}

/// A grapheme's number, where it is a single character.
fn single(grapheme: &str) -> Option<u32> {
    let mut characters = fold(grapheme);
    let only = characters.next()?;
    characters.next().is_none().then_some(only.into())
}

fn fold(grapheme: &str) -> impl Iterator<Item = char> {
    let plain = grapheme
        .chars()
        .filter(|letter| !matches!(letter, '\u{FE0E}' | '\u{FE0F}'));
    plain.flat_map(char::to_lowercase)
}

fn units(text: &str, mut key: impl FnMut(&str) -> u32) -> Vec<Unit> {
    let mut bounds = text
        .split_word_bound_indices()
        .map(|(start, word)| start..start + word.len())
        .peekable();
    let mut gap = Gap::None;
    let mut units = Vec::with_capacity(text.len());
    for (start, grapheme) in text.grapheme_indices(true) {
        let end = start + grapheme.len();
        while bounds.next_if(|word| word.end <= start).is_some() {}
        if !counts(grapheme) {
            let space = grapheme.chars().any(char::is_whitespace);
            gap = if space || gap == Gap::Space {
                Gap::Space
            } else {
                Gap::Punctuation
            };
            continue;
        }
        let opens = bounds.peek().is_none_or(|word| word.start == start);
        while bounds.next_if(|word| word.end < end).is_some() {}
        let closes = bounds.peek().is_none_or(|word| word.end == end);
        units.push(Unit {
            key: key(grapheme),
            range: start..end,
            gap,
            opens,
            closes,
        });
        gap = Gap::None;
    }
    units
}

/// Letters, digits, emoji and other symbols count; white space and punctuation may differ.
fn counts(grapheme: &str) -> bool {
    let Some(first) = grapheme.chars().next() else {
        return false;
    };
    let punctuation = matches!(first,
        '\u{2E00}'..='\u{2E7F}' | '\u{3000}'..='\u{303F}' | '\u{FE10}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF65}');
    first.is_alphanumeric() || first >= '\u{2070}' && !punctuation && !first.is_whitespace()
}

/// The earliest place of `phrase` in `units` that begins and ends with a word and is not `taken`.
fn first_free(units: &[Unit], taken: &mut [bool], phrase: &[Unit]) -> Option<Range<usize>> {
    let last_start = units.len().checked_sub(phrase.len())?;
    let place = (0..=last_start)
        .map(|start| start..start + phrase.len())
        .find(|place| {
            let same = units
                .get(place.clone())
                .is_some_and(|there| is_same(there, phrase));
            same && taken
                .get(place.clone())
                .is_some_and(|taken| !taken.contains(&true))
        })?;
    taken.get_mut(place.clone())?.fill(true);
    let there = units.get(place)?;
    Some(there.first()?.range.start..there.last()?.range.end)
}

fn is_same(there: &[Unit], phrase: &[Unit]) -> bool {
    let on_bounds = there.first().is_some_and(|unit| unit.opens)
        && there.last().is_some_and(|unit| unit.closes);
    on_bounds
        && there
            .iter()
            .zip(phrase)
            .enumerate()
            .all(|(index, (here, wanted))| {
                here.key == wanted.key && (index == 0 || is_same_gap(here.gap, wanted.gap))
            })
}

/// "Heart-broken" may be "heart broken" or "heartbroken", but "now here" is not "nowhere".
fn is_same_gap(here: Gap, wanted: Gap) -> bool {
    here == wanted || here == Gap::Punctuation || wanted == Gap::Punctuation
}

#[cfg(test)]
mod tests {
    use super::{
        super::render,
        Polarity::{Negative, Positive},
        *,
    };

    fn marked(text: &str, phrases: &[(&str, Polarity)]) -> String {
        let phrases: Vec<_> = phrases
            .iter()
            .map(|(phrase, polarity)| (phrase.to_string(), *polarity))
            .collect();
        let html = render(text, &locate(text, &phrases)).analyzed_content;
        html.replace("<span class=\"positive\">", "[+")
            .replace("<span class=\"negative\">", "[-")
            .replace("</span>", "]")
    }

    #[test]
    fn the_earliest_free_occurrence_is_taken() {
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
    fn longer_phrases_come_first_and_nothing_is_marked_twice() {
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
    fn only_whole_words_match() {
        assert_eq!(
            marked("unhappy happiness", &[("happy", Positive)]),
            "unhappy happiness"
        );
        assert_eq!(marked("nowhere", &[("now here", Negative)]), "nowhere");
        assert_eq!(marked("I don't", &[("don", Negative)]), "I don&#39;t");
    }

    #[test]
    fn case_quotes_punctuation_and_white_space_may_differ() {
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
    fn other_scripts_and_emoji_are_found() {
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
    fn phrases_that_are_not_there_are_ignored() {
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
    fn thousands_of_phrases_are_cut_short() {
        let text = "word ".repeat(1000);
        let phrases = vec![("word".to_string(), Negative); 5000];
        let marks = locate(&text, &phrases);
        assert_eq!(marks.len(), MOST_PHRASES);
        assert_eq!(render(&text, &marks).negative_count as usize, MOST_PHRASES);
    }

    #[test]
    fn markup_in_the_text_stays_text() {
        let text = "<script>alert(\"love & 'hate'\")</script>";
        let html = marked(text, &[("love", Positive), ("</script>", Negative)]);
        assert_eq!(
            html,
            "&lt;[-script]&gt;alert(&quot;[+love] &amp; &#39;hate&#39;&quot;)&lt;/script&gt;"
        );
    }
}
