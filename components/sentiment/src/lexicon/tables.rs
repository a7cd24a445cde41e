//! Parsed tables: words, phrases and symbols by their text.

use std::{cmp::Reverse, sync::LazyLock};

use super::word::{Context, Role, Word};

/// A phrase of two or more words or commas that has a valence as a whole.
#[derive(Debug)]
pub struct Phrase {
    words: Vec<&'static str>,
    /// As [`Word::valence`].
    pub valence: f32,
    /// As [`Word::context`].
    pub context: Context,
}

impl Phrase {
    /// Returns the words after the first.
    pub fn rest(&self) -> &[&'static str] {
        self.words.get(1..).unwrap_or_default()
    }

    fn first(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }
}

struct Tables {
    /// Sorted by text.
    words: Vec<(&'static str, Word)>,
    /// Sorted by first word, the longest first.
    phrases: Vec<Phrase>,
    /// Sorted by text.
    symbols: Vec<(&'static str, f32)>,
}

/// The tables, parsed once per instance in about 1 ms.
static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let vader = lines(include_str!("vader.tsv"));
    let rated = vader
        .chain(lines(include_str!("diary.tsv")))
        .map(parse_rated);
    let (phrases, words): (Vec<_>, Vec<_>) = rated.partition(|(text, ..)| text.contains(' '));
    let phrases = sort_phrases(phrases);
    let symbols = lines(include_str!("symbols.tsv")).map(parse_rated);
    let mut symbols: Vec<_> = symbols.map(|(text, valence, _)| (text, valence)).collect();
    symbols.sort_by_key(|(text, _)| *text);
    Tables {
        words: merge_words(words, &phrases),
        phrases,
        symbols,
    }
});

fn sort_phrases(rated: Vec<(&'static str, f32, Context)>) -> Vec<Phrase> {
    let phrase = |(text, valence, context): (&'static str, f32, Context)| Phrase {
        words: text.split(' ').collect(),
        valence,
        context,
    };
    let mut phrases: Vec<_> = rated.into_iter().map(phrase).collect();
    phrases.sort_by_key(|phrase| (phrase.first(), Reverse(phrase.words.len())));
    phrases
}

/// Merges all that the tables say about each word.
fn merge_words(
    rated: Vec<(&'static str, f32, Context)>,
    phrases: &[Phrase],
) -> Vec<(&'static str, Word)> {
    let rated = rated
        .into_iter()
        .map(|(text, valence, context)| (text, Word::with_valence(valence, context)));
    let grammar = lines(include_str!("grammar.tsv")).filter_map(parse_roles);
    let starts = phrases
        .iter()
        .map(|phrase| (phrase.first(), Word::with_roles([Role::StartsPhrase])));
    let mut words: Vec<_> = rated.chain(grammar).chain(starts).collect();
    words.sort_by_key(|(text, _)| *text);
    words.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 = first.1.merge(later.1);
        }
        same
    });
    words
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Parses a line of `vader.tsv`, `diary.tsv` or `symbols.tsv`: text, valence and, optionally, context.
fn parse_rated(line: &'static str) -> (&'static str, f32, Context) {
    let mut columns = line.split('\t');
    let text = columns.next().unwrap_or_default();
    let valence = columns.next().and_then(|column| column.parse().ok());
    let context = columns.next().and_then(Context::named);
    (
        text,
        valence.unwrap_or_default(),
        context.unwrap_or_default(),
    )
}

/// Parses a line of `grammar.tsv`: word and roles.
fn parse_roles(line: &'static str) -> Option<(&'static str, Word)> {
    let (text, names) = line.split_once('\t')?;
    let roles = names.split(' ').filter_map(Role::named);
    Some((text, Word::with_roles(roles)))
}

/// Returns the valence of an emoji (without variation selectors) or emoticon.
pub fn symbol(text: &str) -> Option<f32> {
    let symbols = &TABLES.symbols;
    let at = symbols
        .binary_search_by(|(symbol, _)| (*symbol).cmp(text))
        .ok()?;
    symbols.get(at).map(|(_, valence)| *valence)
}

/// Returns the phrases that start with this word, longest first.
pub fn phrases(first: &str) -> &'static [Phrase] {
    let all = &TABLES.phrases;
    let start = all.partition_point(|phrase| phrase.first() < first);
    let tail = all.get(start..).unwrap_or_default();
    tail.get(..tail.partition_point(|phrase| phrase.first() == first))
        .unwrap_or_default()
}

/// Returns what the tables say about exactly this lower-case word.
pub fn word(text: &str) -> Option<Word> {
    let words = &TABLES.words;
    let at = words.binary_search_by(|(word, _)| (*word).cmp(text)).ok()?;
    words.get(at).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_well_formed() {
        let rated = [
            include_str!("vader.tsv"),
            include_str!("diary.tsv"),
            include_str!("symbols.tsv"),
        ];
        for line in rated.into_iter().flat_map(lines) {
            let columns: Vec<&str> = line.split('\t').collect();
            let (text, valence, context) = match columns[..] {
                [text, valence] => (text, valence, None),
                [text, valence, context] => (text, valence, Some(context)),
                _ => panic!("not two or three columns: {line}"),
            };
            assert!(text == text.trim() && !text.is_empty(), "{line}");
            let valence: f32 = valence.parse().expect(line);
            assert!((-4.0..=4.0).contains(&valence), "{line}");
            assert!(
                context.is_none_or(|name| Context::named(name).is_some()),
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
    fn returns_the_longest_phrase_first() {
        let lengths: Vec<usize> = phrases("sick")
            .iter()
            .map(|phrase| phrase.rest().len())
            .collect();
        assert!(lengths.len() > 2 && lengths.is_sorted_by(|a, b| a >= b));
        assert!(phrases("zzz").is_empty());
    }
}
