//! Reads `analyzed_content` as a browser would, and fails on anything but the two spans.

use serde_json::Value;

/// What stands in an analysed text.
#[derive(Debug, Default, PartialEq)]
pub struct Marked {
    /// Without tags, entities decoded.
    pub text: String,
    /// The marked phrases, with their classes, in order.
    pub phrases: Vec<(&'static str, String)>,
}

impl Marked {
    /// Phrases of a class.
    pub fn of(&self, class: &str) -> Vec<&str> {
        let mut phrases = Vec::new();
        for (own, phrase) in &self.phrases {
            if *own == class {
                phrases.push(phrase.as_str());
            }
        }
        phrases
    }
}

/// Reads a marked text; says what is wrong where it is not exactly text and balanced, unnested spans.
pub fn read(html: &str) -> Result<Marked, String> {
    let mut marked = Marked::default();
    let mut open: Option<(&'static str, String)> = None;
    let mut rest = html;
    while let Some(letter) = rest.chars().next() {
        let (read, length) = match letter {
            '<' => {
                rest = tag(rest, &mut open, &mut marked)?;
                continue;
            }
            '>' | '"' | '\'' => return Err(format!("unescaped {letter} in {html}")),
            '&' => entity(rest).ok_or_else(|| format!("an unknown entity in {html}"))?,
            letter => (letter, letter.len_utf8()),
        };
        marked.text.push(read);
        if let Some((_, phrase)) = &mut open {
            phrase.push(read);
        }
        rest = &rest[length..];
    }
    match open {
        None => Ok(marked),
        Some(_) => Err(format!("an open span in {html}")),
    }
}

fn tag<'a>(
    rest: &'a str,
    open: &mut Option<(&'static str, String)>,
    marked: &mut Marked,
) -> Result<&'a str, String> {
    for class in ["positive", "negative"] {
        if let Some(after) = rest.strip_prefix(&format!("<span class=\"{class}\">")) {
            return match open.replace((class, String::new())) {
                None => Ok(after),
                Some(_) => Err(format!("nested spans at {rest}")),
            };
        }
    }
    let after = rest
        .strip_prefix("</span>")
        .ok_or_else(|| format!("a foreign tag at {rest}"))?;
    let phrase = open
        .take()
        .ok_or_else(|| format!("a span closed twice at {rest}"))?;
    if phrase.1.is_empty() {
        return Err(format!("an empty span before {rest}"));
    }
    marked.phrases.push(phrase);
    Ok(after)
}

fn entity(rest: &str) -> Option<(char, usize)> {
    let entities = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#39;", '\''),
        ("&#x27;", '\''),
    ];
    let (name, letter) = entities
        .into_iter()
        .find(|(name, _)| rest.starts_with(name))?;
    Some((letter, name.len()))
}

/// Fails when a diary's markup is unsafe or differs from its content, or its counts or sentiment are not those of its marks.
#[track_caller]
pub fn check_diary(diary: &Value) {
    let html = diary["analyzed_content"]
        .as_str()
        .expect("analyzed_content is never null");
    let marked = read(html).unwrap_or_else(|error| panic!("{error}: {diary}"));
    assert!(!html.is_empty(), "{diary}");
    assert_eq!(diary["content"], marked.text, "{diary}");
    let [positive, negative] = ["positive", "negative"].map(|class| marked.of(class).len());
    assert_eq!(diary["positive_count"], positive, "{diary}");
    assert_eq!(diary["negative_count"], negative, "{diary}");
    let sentiment = match positive.cmp(&negative) {
        std::cmp::Ordering::Greater => "positive",
        std::cmp::Ordering::Less => "negative",
        std::cmp::Ordering::Equal => "neutral",
    };
    assert_eq!(diary["sentiment"], sentiment, "{diary}");
    if diary["analyzed_by"].is_null() {
        assert_eq!(positive + negative, 0, "marks that nobody made: {diary}");
    }
}
