//! Splits a text into tokens: words, symbols and punctuation.

use std::{borrow::Cow, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use super::{
    forms, tables,
    word::{Role, Word},
    word_set::WordSet,
};

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A word, with its valence and roles.
    Word(Word),
    /// An emoji or emoticon, with its valence.
    Symbol(f32),
    /// Punctuation that ends a clause.
    ClauseEnd,
    /// Punctuation that ends a sentence, or a line break.
    SentenceEnd,
}

/// A word, symbol or punctuation mark of a text.
#[derive(Debug)]
pub struct Token<'t> {
    /// Byte range in the text.
    pub range: Range<usize>,
    /// The word in lower case with ASCII apostrophes and hyphens, or the symbol or punctuation mark.
    pub text: Cow<'t, str>,
    /// Kind of the token.
    pub kind: Kind,
}

impl Token<'_> {
    /// Returns the word's valence and roles; the default if the token is not a word.
    pub fn word(&self) -> Word {
        match self.kind {
            Kind::Word(word) => word,
            _ => Word::default(),
        }
    }

    /// Returns whether the token's word has this role.
    pub fn is(&self, role: Role) -> bool {
        self.word().is(role)
    }

    /// Returns whether the token's text is in this set.
    pub fn is_in(&self, set: WordSet) -> bool {
        set.contains(&self.text)
    }

    /// Returns whether a clause or sentence ends here.
    pub fn is_clause_end(&self) -> bool {
        matches!(self.kind, Kind::ClauseEnd | Kind::SentenceEnd)
    }
}

/// Splits `text` into tokens. Anything else, such as white space or an emoji without a valence, is skipped.
pub fn tokenize(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        at += push_emoticon(rest, before, at, &mut tokens)
            .or_else(|| push_word(rest, at, &mut tokens))
            .unwrap_or_else(|| push_other(rest, at, &mut tokens));
    }
    tokens
}

fn is_apostrophe(letter: char) -> bool {
    matches!(
        letter,
        '\'' | '\u{2019}' | '\u{2018}' | '\u{02BC}' | '\u{FF07}'
    )
}

fn is_hyphen(letter: char) -> bool {
    matches!(letter, '-' | '\u{2010}' | '\u{2011}')
}

/// Pushes the word at the start of `rest`, and returns its length in bytes. An unknown word with hyphens becomes several
/// tokens.
fn push_word<'t>(rest: &'t str, at: usize, tokens: &mut Vec<Token<'t>>) -> Option<usize> {
    let length = word_length(rest);
    let word = rest.get(..length).filter(|word| !word.is_empty())?;
    let folded = fold(word);
    let found = forms::look_up(&folded);
    if found != Word::default() || !folded.contains('-') {
        tokens.push(Token {
            range: at..at + length,
            text: folded,
            kind: Kind::Word(found),
        });
        return Some(length);
    }
    let mut start = 0;
    for part in word.split_inclusive(is_hyphen) {
        let piece = part.trim_end_matches(is_hyphen);
        let text = fold(piece);
        let kind = Kind::Word(forms::look_up(&text));
        let from = at + start;
        tokens.push(Token {
            range: from..from + piece.len(),
            text,
            kind,
        });
        start += part.len();
    }
    Some(length)
}

/// Returns the length in bytes of the word at the start of `rest`: letters and digits with apostrophes and hyphens
/// between them.
fn word_length(rest: &str) -> usize {
    let mut length = 0;
    let mut letters = rest.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter.is_alphanumeric() || (length > 0 && is_combining(letter)) {
            length = at + letter.len_utf8();
            continue;
        }
        let joins = is_apostrophe(letter) || is_hyphen(letter);
        let inside = length > 0
            && letters
                .peek()
                .is_some_and(|(_, next)| next.is_alphanumeric());
        if !(joins && inside) {
            break;
        }
    }
    length
}

/// Returns whether a character is a combining accent, as in decomposed "é".
fn is_combining(letter: char) -> bool {
    ('\u{0300}'..='\u{036F}').contains(&letter)
}

/// Converts a word to lower case with ASCII apostrophes and hyphens.
fn fold(word: &str) -> Cow<'_, str> {
    let is_folded = |byte: u8| byte.is_ascii_lowercase() || byte == b'\'' || byte == b'-';
    if word.bytes().all(is_folded) {
        return Cow::Borrowed(word);
    }
    let letters = word.chars().flat_map(char::to_lowercase);
    let folded = letters.map(|letter| match letter {
        letter if is_apostrophe(letter) => '\'',
        letter if is_hyphen(letter) => '-',
        letter => letter,
    });
    Cow::Owned(folded.collect())
}

/// Length in bytes of the longest emoticon in the tables.
const LONGEST_EMOTICON: usize = 4;

/// Returns whether an emoticon of the tables starts with this character. Most characters do not need a lookup.
fn may_start_emoticon(first: char) -> bool {
    matches!(
        first,
        ':' | ';' | '=' | '<' | '>' | '(' | ')' | '-' | '8' | '^' | '\\' | 'x' | 'X' | 'D' | 'T'
    )
}

/// Pushes the emoticon at the start of `rest`, and returns its length in bytes.
///
/// Emoticons follow white space, punctuation or emoji. Those that start with eyes (`:`, `;`, `=`, `<`) may also follow a
/// word directly.
fn push_emoticon<'t>(
    rest: &'t str,
    before: Option<char>,
    at: usize,
    tokens: &mut Vec<Token<'t>>,
) -> Option<usize> {
    let first = rest
        .chars()
        .next()
        .filter(|first| may_start_emoticon(*first))?;
    let after_word = before.is_some_and(char::is_alphanumeric);
    let has_eyes = matches!(first, ':' | ';' | '=' | '<');
    let stands_alone = !after_word
        && (first.is_ascii_punctuation() || matches!(first, 'x' | 'X' | 'D' | 'T' | '8'));
    if !has_eyes && !stands_alone {
        return None;
    }
    (2..=LONGEST_EMOTICON).rev().find_map(|length| {
        let emoticon = rest.get(..length)?;
        let valence = tables::symbol(emoticon)?;
        let last = emoticon.chars().next_back()?;
        let repeated = rest
            .get(length..)?
            .chars()
            .take_while(|next| *next == last)
            .count();
        let length = length + repeated;
        let next = rest.get(length..)?.chars().next();
        // "10:30", "http://" and "C:\" do not contain emoticons.
        if next.is_some_and(|next| next.is_alphanumeric() || next == '/' || next == '\\') {
            return None;
        }
        // Neither do "(two things:)" and "a):".
        if before.is_some_and(|before| !before.is_whitespace())
            && (after_word && next.is_some_and(|next| !next.is_whitespace()) || first == ')')
        {
            return None;
        }
        tokens.push(Token {
            range: at..at + length,
            text: Cow::Borrowed(emoticon),
            kind: Kind::Symbol(valence),
        });
        Some(length)
    })
}

/// Pushes the emoji or punctuation mark at the start of `rest`, if it is one, and returns the length in bytes of the
/// grapheme there.
fn push_other<'t>(rest: &'t str, at: usize, tokens: &mut Vec<Token<'t>>) -> usize {
    if rest.starts_with(' ') {
        return 1;
    }
    let mut letters = rest.chars();
    let Some(first) = letters.next() else {
        return rest.len();
    };
    // Grapheme segmentation would take most of the tokenizer's time, and most graphemes are one character.
    let is_one_character = is_simple(first) && letters.next().is_none_or(starts_grapheme);
    let length = if is_one_character {
        first.len_utf8()
    } else {
        rest.graphemes(true).next().map_or(rest.len(), str::len)
    };
    let cluster = rest.get(..length).unwrap_or_default();
    let kind = match first {
        '.' | '!' | '?' | '\n' | '\r' | '…' | '。' | '！' | '？' => Some(Kind::SentenceEnd),
        ',' | ';' | ':' | '(' | ')' | '–' | '—' | '-' | '•' | '*' | '/' => {
            Some(Kind::ClauseEnd)
        }
        _ => emoji(cluster).map(Kind::Symbol),
    };
    if let Some(kind) = kind {
        let range = at..at + cluster.len();
        tokens.push(Token {
            range,
            text: Cow::Borrowed(cluster),
            kind,
        });
    }
    cluster.len()
}

/// Returns whether a punctuation mark or emoji is a grapheme of its own unless the next character extends it.
/// Carriage returns and regional indicators are not: they combine with the next character by themselves.
fn is_simple(first: char) -> bool {
    matches!(first, ' '..='~' | '\n' | '\u{2010}'..='\u{2027}' | '\u{2600}'..='\u{27BF}' | '\u{1F300}'..='\u{1FAFF}')
}

/// Returns whether a character never extends the previous one.
fn starts_grapheme(next: char) -> bool {
    let tone = ('\u{1F3FB}'..='\u{1F3FF}').contains(&next);
    next.is_ascii() || ('\u{1F300}'..='\u{1FAFF}').contains(&next) && !tone
}

/// Returns the valence of an emoji in any skin tone, gender or variation.
fn emoji(cluster: &str) -> Option<f32> {
    let first = cluster
        .chars()
        .next()
        .filter(|first| *first >= '\u{2000}')?;
    let mut whole = [0; 32];
    let mut length = 0;
    for letter in cluster
        .chars()
        .filter(|letter| !matches!(letter, '\u{FE0E}' | '\u{FE0F}'))
    {
        let Some(space) = whole.get_mut(length..length + letter.len_utf8()) else {
            break;
        };
        length += letter.encode_utf8(space).len();
    }
    let whole = whole
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    whole
        .and_then(tables::symbol)
        .or_else(|| tables::symbol(first.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        tokenize(text)
            .iter()
            .map(|token| token.text.to_string())
            .collect()
    }

    fn symbols(text: &str) -> usize {
        tokenize(text)
            .iter()
            .filter(|token| matches!(token.kind, Kind::Symbol(_)))
            .count()
    }

    #[test]
    fn words_are_in_lower_case_with_their_apostrophes() {
        assert_eq!(pieces("I DIDN’T go."), ["i", "didn't", "go", "."]);
        assert_eq!(pieces("'quoted' friends'"), ["quoted", "friends"]);
    }

    #[test]
    fn splits_unknown_words_at_hyphens() {
        assert_eq!(
            pieces("stress-free old-fashioned"),
            ["stress-free", "old", "fashioned"]
        );
    }

    #[test]
    fn distinguishes_emoticons_from_times_urls_and_brackets() {
        assert_eq!(symbols("so nice :) and fun:-D <3"), 3);
        assert_eq!(symbols(":))) XD"), 2);
        assert_eq!(
            symbols("at 10:30 on http://x.org (8) see a): b, list:(one) C:\\d"),
            0
        );
    }

    #[test]
    fn finds_emoji_in_any_variation() {
        assert_eq!(symbols("❤️ ❤ 👍🏽 😂😂"), 5);
        assert_eq!(symbols("🚗 🇩🇪 ☕"), 0);
    }

    #[test]
    fn every_emoticon_of_the_tables_may_start() {
        let emoticons = include_str!("symbols.tsv").lines().skip(1);
        for emoticon in emoticons.filter(|emoticon| emoticon.is_ascii()) {
            assert!(
                emoticon.chars().next().is_some_and(may_start_emoticon),
                "{emoticon}"
            );
        }
    }

    #[test]
    fn splits_punctuation_and_emoji_into_graphemes() {
        for text in [
            "!?\r\n\n",
            "😭😭",
            "👍🏽❤️❤",
            "👩‍👩‍👧😂",
            "🇩🇪🇫🇷",
            "1️⃣!",
            "…\u{301}.",
            "☕\u{FE0F}☕",
            "😮‍💨😮",
        ] {
            let mut at = 0;
            let mut cut = Vec::new();
            while at < text.len() {
                let length = push_other(&text[at..], at, &mut Vec::new());
                cut.push(&text[at..at + length]);
                at += length;
            }
            assert_eq!(cut, text.graphemes(true).collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn ranges_match_the_text() {
        let text = "Grüße – isn’t 👍🏽 well-being, ok :)";
        for token in tokenize(text) {
            let piece = text.get(token.range.clone()).expect("on boundaries");
            assert_eq!(fold(piece).chars().next(), token.text.chars().next());
        }
    }
}
