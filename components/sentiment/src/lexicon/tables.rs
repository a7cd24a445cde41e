//! The word lists, parsed: words, phrases and symbols by their text.

use std::sync::LazyLock;

use super::words::{Need, Role, Word};

/// A phrase of two or more words, or of words and commas, that has a feeling (or none) as a whole.
#[derive(Debug)]
pub struct Phrase {
    words: Vec<&'static str>,
    /// As [`Word::valence`].
    pub valence: f32,
    /// As [`Word::need`].
    pub need: Need,
}

impl Phrase {
    /// The words after the first.
    pub fn rest(&self) -> &[&'static str] {
        self.words.get(1..).unwrap_or_default()
    }

    fn first(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }
}

struct Tables {
    words: Vec<(&'static str, Word)>,
    phrases: Vec<Phrase>,
    symbols: Vec<(&'static str, f32)>,
}

/// Parsed once per instance, in about a millisecond.
static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let (phrases, feelings) = feelings().partition::<Vec<_>, _>(|(text, ..)| text.contains(' '));
    let phrases = phrases_by_first(phrases);
    let words = feelings
        .into_iter()
        .map(|(text, valence, need)| (text, Word::with_feeling(valence, need)));
    let opening = phrases
        .iter()
        .map(|phrase| (phrase.first(), Word::with_roles([Role::Opens].into_iter())));
    let mut words: Vec<_> = words.chain(parts()).chain(opening).collect();
    words.sort_by_key(|(text, _)| *text);
    words.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 = first.1.and(later.1);
        }
        same
    });
    let symbols = lines(include_str!("symbols.tsv")).map(feeling);
    let mut symbols: Vec<_> = symbols.map(|(text, valence, _)| (text, valence)).collect();
    symbols.sort_by_key(|(text, _)| *text);
    Tables {
        words,
        phrases,
        symbols,
    }
});

/// The longest phrase with the same beginning comes first.
fn phrases_by_first(feelings: Vec<(&'static str, f32, Need)>) -> Vec<Phrase> {
    let mut phrases: Vec<_> = feelings
        .into_iter()
        .map(|(text, valence, need)| Phrase {
            words: text.split(' ').collect(),
            valence,
            need,
        })
        .collect();
    phrases.sort_by_key(|phrase| (phrase.first(), std::cmp::Reverse(phrase.words.len())));
    phrases
}

fn feelings() -> impl Iterator<Item = (&'static str, f32, Need)> {
    let vader = lines(include_str!("vader.tsv"));
    vader.chain(lines(include_str!("diary.tsv"))).map(feeling)
}

fn parts() -> impl Iterator<Item = (&'static str, Word)> {
    lines(include_str!("grammar.tsv")).filter_map(|line| {
        let (text, names) = line.split_once('\t')?;
        Some((
            text,
            Word::with_roles(names.split(' ').filter_map(Role::named)),
        ))
    })
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn feeling(line: &'static str) -> (&'static str, f32, Need) {
    let mut columns = line.split('\t');
    let text = columns.next().unwrap_or_default();
    let valence = columns
        .next()
        .and_then(|column| column.parse().ok())
        .unwrap_or_default();
    let need = match columns.next() {
        Some("is") => Need::Linked,
        Some("feel") => Need::Felt,
        Some("who") => Need::Person,
        Some("well") => Need::Going,
        _ => Need::Nothing,
    };
    (text, valence, need)
}

/// The feeling of an emoji (without variation selectors) or emoticon; `None` when it has none.
pub fn symbol(text: &str) -> Option<f32> {
    let symbols = &TABLES.symbols;
    let at = symbols
        .binary_search_by(|(symbol, _)| (*symbol).cmp(text))
        .ok()?;
    symbols.get(at).map(|(_, valence)| *valence)
}

/// The phrases that begin with a word, longest first.
pub fn phrases(first: &str) -> &'static [Phrase] {
    let all = &TABLES.phrases;
    let start = all.partition_point(|phrase| phrase.first() < first);
    let tail = all.get(start..).unwrap_or_default();
    tail.get(..tail.partition_point(|phrase| phrase.first() == first))
        .unwrap_or_default()
}

/// What the tables say of exactly this lower-case word.
pub fn exact(word: &str) -> Option<Word> {
    let words = &TABLES.words;
    let at = words.binary_search_by(|(text, _)| (*text).cmp(word)).ok()?;
    words.get(at).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_well_formed() {
        let feelings = [
            include_str!("vader.tsv"),
            include_str!("diary.tsv"),
            include_str!("symbols.tsv"),
        ];
        for line in feelings.into_iter().flat_map(lines) {
            let mut columns = line.split('\t');
            assert!(
                columns
                    .next()
                    .is_some_and(|text| text == text.trim() && !text.is_empty()),
                "{line}"
            );
            let valence: f32 = columns
                .next()
                .and_then(|column| column.parse().ok())
                .expect(line);
            assert!((-4.0..=4.0).contains(&valence), "{line}");
            assert!(
                matches!(columns.next(), None | Some("is" | "feel" | "who" | "well")),
                "{line}"
            );
        }
        for line in lines(include_str!("grammar.tsv")) {
            let (_, names) = line.split_once('\t').expect(line);
            assert!(
                names.split(' ').all(|name| Role::named(name).is_some()),
                "{line}"
            );
        }
    }

    #[test]
    fn phrases_are_offered_longest_first() {
        let lengths: Vec<usize> = phrases("sick")
            .iter()
            .map(|phrase| phrase.rest().len())
            .collect();
        assert!(lengths.len() > 2 && lengths.is_sorted_by(|a, b| a >= b));
        assert!(phrases("zzz").is_empty());
    }
}
