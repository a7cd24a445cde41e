//! Cuts a text into words, symbols and breaks, each with its place in the text.

use std::{borrow::Cow, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use super::{
    tables,
    words::{self, Word},
};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A word, with what the tables know of it.
    Word(Word),
    /// An emoji or emoticon, with its valence.
    Symbol(f32),
    /// Punctuation that ends a clause.
    Break,
    /// Punctuation that ends a sentence, or a line.
    End,
}

/// A piece of the text.
#[derive(Debug)]
pub struct Token<'t> {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// A word in lower case with plain apostrophes, or the piece itself.
    pub text: Cow<'t, str>,
    /// What it is.
    pub kind: Kind,
}

impl Token<'_> {
    /// What the tables know of the word; for what is no word, nothing.
    pub fn word(&self) -> Word {
        match self.kind {
            Kind::Word(word) => word,
            _ => Word::default(),
        }
    }

    /// Whether a clause or sentence ends here.
    pub fn is_break(&self) -> bool {
        matches!(self.kind, Kind::Break | Kind::End)
    }
}

/// Cuts `text`; what is neither word, symbol nor punctuation is left out.
pub fn tokenize(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        at += emoticon(rest, before, at, &mut tokens)
            .or_else(|| word(rest, at, &mut tokens))
            .unwrap_or_else(|| other(rest, at, &mut tokens));
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

/// Takes a word off the front of `rest`; its length in bytes, `None` when there is none.
fn word<'t>(rest: &'t str, at: usize, tokens: &mut Vec<Token<'t>>) -> Option<usize> {
    let length = word_length(rest);
    let word = rest.get(..length).filter(|word| !word.is_empty())?;
    let folded = fold(word);
    let known = words::look_up(&folded);
    if known != Word::default() || !folded.contains('-') {
        tokens.push(Token {
            range: at..at + length,
            text: folded,
            kind: Kind::Word(known),
        });
        return Some(length);
    }
    let mut start = 0;
    for part in word.split_inclusive(is_hyphen) {
        let piece = part.trim_end_matches(is_hyphen);
        let text = fold(piece);
        let kind = Kind::Word(words::look_up(&text));
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

/// Letters and digits, with apostrophes and hyphens between them.
fn word_length(rest: &str) -> usize {
    let mut length = 0;
    let mut letters = rest.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter.is_alphanumeric() || (length > 0 && is_mark(letter)) {
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

/// The combining marks that accents are written with when they stand apart from their letter.
fn is_mark(letter: char) -> bool {
    ('\u{0300}'..='\u{036F}').contains(&letter)
}

fn fold(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'\'' || byte == b'-';
    if word.bytes().all(plain) {
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

/// The longest emoticon of the tables.
const LONGEST_EMOTICON: usize = 4;

/// Whether an emoticon of the tables begins so. Most signs are no face, and need not be looked up.
fn may_open_a_face(first: char) -> bool {
    matches!(
        first,
        ':' | ';' | '=' | '<' | '>' | '(' | ')' | '-' | '8' | '^' | '\\' | 'x' | 'X' | 'D' | 'T'
    )
}

/// Takes an emoticon off the front of `rest`, where one can stand: after a
/// space, a sign or an emoji, or after a word when it has eyes of its own.
fn emoticon<'t>(
    rest: &'t str,
    before: Option<char>,
    at: usize,
    tokens: &mut Vec<Token<'t>>,
) -> Option<usize> {
    let first = rest
        .chars()
        .next()
        .filter(|first| may_open_a_face(*first))?;
    let after_word = before.is_some_and(char::is_alphanumeric);
    let eyes = matches!(first, ':' | ';' | '=' | '<');
    let alone = !after_word
        && (first.is_ascii_punctuation() || matches!(first, 'x' | 'X' | 'D' | 'T' | '8'));
    if !eyes && !alone {
        return None;
    }
    (2..=LONGEST_EMOTICON).rev().find_map(|length| {
        let face = rest.get(..length)?;
        let valence = tables::symbol(face)?;
        let last = face.chars().next_back()?;
        let mouths = rest
            .get(length..)?
            .chars()
            .take_while(|next| *next == last)
            .count();
        let length = length + mouths;
        let next = rest.get(length..)?.chars().next();
        // "10:30", "http://" and "C:\" are no faces.
        if next.is_some_and(|next| next.is_alphanumeric() || next == '/' || next == '\\') {
            return None;
        }
        // Neither is the colon and bracket of "(two things:)" nor that of "a):".
        if before.is_some_and(|before| !before.is_whitespace())
            && (after_word && next.is_some_and(|next| !next.is_whitespace()) || first == ')')
        {
            return None;
        }
        tokens.push(Token {
            range: at..at + length,
            text: Cow::Borrowed(face),
            kind: Kind::Symbol(valence),
        });
        Some(length)
    })
}

/// Takes an emoji, a punctuation mark or anything else off the front of `rest`.
fn other<'t>(rest: &'t str, at: usize, tokens: &mut Vec<Token<'t>>) -> usize {
    if rest.starts_with(' ') {
        return 1;
    }
    let mut letters = rest.chars();
    let Some(first) = letters.next() else {
        return rest.len();
    };
    // To find the bounds of a grapheme takes longer than all else; most are seen to be one character.
    let alone = is_plain(first) && letters.next().is_none_or(begins_anew);
    let length = if alone {
        first.len_utf8()
    } else {
        rest.graphemes(true).next().map_or(rest.len(), str::len)
    };
    let cluster = rest.get(..length).unwrap_or_default();
    let kind = match first {
        '.' | '!' | '?' | '\n' | '\r' | '…' | '。' | '！' | '？' => Some(Kind::End),
        ',' | ';' | ':' | '(' | ')' | '–' | '—' | '-' | '•' | '*' | '/' => Some(Kind::Break),
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

/// A sign or an emoji that joins nothing to itself by its own nature, as carriage returns and flags do.
fn is_plain(first: char) -> bool {
    matches!(first, ' '..='~' | '\n' | '\u{2010}'..='\u{2027}' | '\u{2600}'..='\u{27BF}' | '\u{1F300}'..='\u{1FAFF}')
}

/// A character that never belongs to the one before it.
fn begins_anew(next: char) -> bool {
    let tone = ('\u{1F3FB}'..='\u{1F3FF}').contains(&next);
    next.is_ascii() || ('\u{1F300}'..='\u{1FAFF}').contains(&next) && !tone
}

/// The feeling of an emoji, whatever its skin colour, sex or variation.
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
    fn words_keep_their_apostrophes_and_lose_their_capitals() {
        assert_eq!(pieces("I DIDN’T go."), ["i", "didn't", "go", "."]);
        assert_eq!(pieces("'quoted' friends'"), ["quoted", "friends"]);
    }

    #[test]
    fn hyphens_join_known_words_and_part_unknown_ones() {
        assert_eq!(
            pieces("stress-free old-fashioned"),
            ["stress-free", "old", "fashioned"]
        );
    }

    #[test]
    fn faces_are_told_from_times_addresses_and_brackets() {
        assert_eq!(symbols("so nice :) and fun:-D <3"), 3);
        assert_eq!(symbols(":))) XD"), 2);
        assert_eq!(
            symbols("at 10:30 on http://x.org (8) see a): b, list:(one) C:\\d"),
            0
        );
    }

    #[test]
    fn emoji_are_found_whatever_their_variation() {
        assert_eq!(symbols("❤️ ❤ 👍🏽 😂😂"), 5);
        assert_eq!(symbols("🚗 🇩🇪 ☕"), 0);
    }

    #[test]
    fn every_face_of_the_tables_may_be_opened() {
        let faces = include_str!("symbols.tsv").lines().skip(1);
        for face in faces.filter(|face| face.is_ascii()) {
            assert!(face.chars().next().is_some_and(may_open_a_face), "{face}");
        }
    }

    #[test]
    fn signs_and_emoji_are_cut_as_graphemes_are() {
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
                let length = other(&text[at..], at, &mut Vec::new());
                cut.push(&text[at..at + length]);
                at += length;
            }
            assert_eq!(cut, text.graphemes(true).collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn tokens_lie_where_they_say() {
        let text = "Grüße – isn’t 👍🏽 well-being, ok :)";
        for token in tokenize(text) {
            let piece = text.get(token.range.clone()).expect("on boundaries");
            assert_eq!(fold(piece).chars().next(), token.text.chars().next());
        }
    }
}
