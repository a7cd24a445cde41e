//! Parses `analyzed_content` as a browser would and rejects everything but the two spans.

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed `analyzed_content`.
#[derive(Debug, Default, PartialEq)]
pub struct MarkedText {
    /// The text without tags and with entities decoded.
    pub text: String,
    /// The marked phrases in order, each with its class.
    pub phrases: Vec<(&'static str, String)>,
}

/// Returns the marked phrases of an entry in order, each with its class.
#[track_caller]
pub fn phrases(entry: &Value) -> Vec<(&'static str, String)> {
    let html = entry["analyzed_content"].as_str();
    let html = html.expect("analyzed_content is a string");
    match parse(html) {
        Ok(marked) => marked.phrases,
        Err(error) => panic!("{error}: {entry}"),
    }
}

/// Fails unless the phrases of `entry` are exactly these.
#[track_caller]
pub fn assert_phrases(entry: &Value, expected: &[(&str, &str)]) {
    let phrases = phrases(entry);
    let found: Vec<(&str, &str)> = phrases
        .iter()
        .map(|(class, phrase)| (*class, phrase.as_str()))
        .collect();
    assert_eq!(found, expected, "{entry}");
}

/// Parses a marked text.
///
/// # Errors
/// Names the first thing that is neither escaped text nor a balanced span that is not nested.
pub fn parse(html: &str) -> Result<MarkedText, String> {
    let mut marked = MarkedText::default();
    let mut open: Option<(&'static str, String)> = None;
    let mut rest = html;
    while let Some(letter) = rest.chars().next() {
        let (decoded, length) = match letter {
            '<' => {
                rest = parse_tag(rest, &mut open, &mut marked)?;
                continue;
            }
            '>' | '"' | '\'' => return Err(format!("{letter} is not escaped in {html}")),
            '&' => parse_entity(rest).ok_or_else(|| format!("an unknown entity in {html}"))?,
            letter => (letter, letter.len_utf8()),
        };
        marked.text.push(decoded);
        if let Some((_, phrase)) = &mut open {
            phrase.push(decoded);
        }
        rest = &rest[length..];
    }
    match open {
        None => Ok(marked),
        Some(_) => Err(format!("a span is not closed in {html}")),
    }
}

fn parse_tag<'a>(
    rest: &'a str,
    open: &mut Option<(&'static str, String)>,
    marked: &mut MarkedText,
) -> Result<&'a str, String> {
    for class in ["positive", "negative"] {
        if let Some(after) = rest.strip_prefix(&format!("<span class=\"{class}\">")) {
            return match open.replace((class, String::new())) {
                None => Ok(after),
                Some(_) => Err(format!("a span is nested at {rest}")),
            };
        }
    }
    let Some(after) = rest.strip_prefix("</span>") else {
        return Err(format!("a tag is not allowed at {rest}"));
    };
    match open.take() {
        None => Err(format!("no span is open at {rest}")),
        Some((_, phrase)) if phrase.is_empty() => Err(format!("a span is empty before {rest}")),
        Some(phrase) => {
            marked.phrases.push(phrase);
            Ok(after)
        }
    }
}

fn parse_entity(rest: &str) -> Option<(char, usize)> {
    let entities = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#39;", '\''),
    ];
    let found = entities
        .into_iter()
        .find(|(name, _)| rest.starts_with(name));
    found.map(|(name, letter)| (letter, name.len()))
}

/// Fails if an entry's markup is unsafe or differs from its content, or if its counts or sentiment differ from its marks.
#[track_caller]
pub fn assert_safe_markup(entry: &Value) {
    let html = entry["analyzed_content"].as_str().unwrap_or_default();
    assert_ne!(html, "", "{entry}");
    let marked = parse(html).unwrap_or_else(|error| panic!("{error}: {entry}"));
    assert_eq!(entry["content"], marked.text, "{entry}");
    let count = |class| {
        let phrases = marked.phrases.iter();
        phrases.filter(|(own, _)| *own == class).count()
    };
    let (positive, negative) = (count("positive"), count("negative"));
    assert_eq!(entry["positive_count"], positive, "{entry}");
    assert_eq!(entry["negative_count"], negative, "{entry}");
    let sentiment = match positive.cmp(&negative) {
        Ordering::Greater => "positive",
        Ordering::Less => "negative",
        Ordering::Equal => "neutral",
    };
    assert_eq!(entry["sentiment"], sentiment, "{entry}");
    if entry["analyzed_by"].is_null() {
        assert_eq!(marked.phrases, [], "marks without an analysis: {entry}");
    }
}
