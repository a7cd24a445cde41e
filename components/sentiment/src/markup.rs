//! Makes marked-up HTML of a text: its own words, escaped, with spans around those that feel.

pub mod phrases;

use std::ops::Range;

use serde::Serialize;

/// Whether a mark speaks of a good or a bad feeling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Polarity {
    /// Good.
    Positive,
    /// Bad.
    Negative,
}

/// A piece of the text that carries a feeling.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// Good or bad.
    pub polarity: Polarity,
}

/// The text as HTML in which the only tags are `<span class="positive">`,
/// `<span class="negative">` and their ends, and how many of each there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Analysis {
    /// With the tags removed and entities decoded, exactly the text.
    pub analyzed_content: String,
    /// Number of positive spans.
    pub positive_count: u32,
    /// Number of negative spans.
    pub negative_count: u32,
}

/// Marks up `text`. Marks that are empty, out of bounds, cut a character in two
/// or overlap one that begins before them are left out.
pub fn render(text: &str, marks: &[Mark]) -> Analysis {
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| mark.range.start);
    let mut analysis = Analysis::default();
    analysis
        .analyzed_content
        .reserve(text.len() + text.len() / 4);
    let mut done = 0;
    for mark in marks {
        let (Some(before), Some(marked)) = (
            text.get(done..mark.range.start),
            text.get(mark.range.clone()),
        ) else {
            continue;
        };
        if marked.is_empty() {
            continue;
        }
        let (class, count) = match mark.polarity {
            Polarity::Positive => ("positive", &mut analysis.positive_count),
            Polarity::Negative => ("negative", &mut analysis.negative_count),
        };
        *count += 1;
        let html = &mut analysis.analyzed_content;
        escape(before, html);
        html.push_str("<span class=\"");
        html.push_str(class);
        html.push_str("\">");
        escape(marked, html);
        html.push_str("</span>");
        done = mark.range.end;
    }
    escape(
        text.get(done..).unwrap_or_default(),
        &mut analysis.analyzed_content,
    );
    analysis
}

fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Polarity::{Negative, Positive},
        phrases::locate,
        *,
    };
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    /// What a client sees: the text, and the classes of the spans, when nothing but the two spans is there.
    fn read(html: &str) -> Option<(String, u32, u32)> {
        let (mut text, mut counts, mut open, mut rest) = (String::new(), [0, 0], false, html);
        while let Some(letter) = rest.chars().next() {
            let tags = [
                "<span class=\"positive\">",
                "<span class=\"negative\">",
                "</span>",
            ];
            let entities = [
                ("&amp;", '&'),
                ("&lt;", '<'),
                ("&gt;", '>'),
                ("&quot;", '"'),
                ("&#39;", '\''),
            ];
            if let Some(tag) = tags.iter().position(|tag| rest.starts_with(tag)) {
                let closes = tag == 2;
                if open != closes {
                    return None;
                }
                if !closes {
                    counts[tag] += 1;
                }
                open = !open;
                rest = &rest[tags[tag].len()..];
            } else if let Some((entity, meant)) =
                entities.iter().find(|(entity, _)| rest.starts_with(entity))
            {
                text.push(*meant);
                rest = &rest[entity.len()..];
            } else if matches!(letter, '&' | '<' | '>' | '"' | '\'') {
                return None;
            } else {
                text.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        (!open).then_some((text, counts[0], counts[1]))
    }

    fn polarity() -> impl Strategy<Value = Polarity> {
        prop_oneof![Just(Positive), Just(Negative)]
    }

    /// Words that occur in texts and phrases alike, so that much matches.
    fn prose() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-c]{1,2}",
            " ",
            " ",
            "[ \n\t,.!'’-]",
            "<b>",
            "&amp;",
            "</span>",
            "<span class=\"positive\">",
            "😂",
            "👩‍👩‍👧",
            "e\u{301}",
            "not happy",
            "sad",
            ":\\)",
            "\u{0}",
            "ß",
            "İ",
            "\\PC"
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_and_reply_give_the_text_back(text in prose(), phrases in prop::collection::vec((prose(), polarity()), 0..12)) {
            let analysis = render(&text, &locate(&text, &phrases));
            let seen = read(&analysis.analyzed_content);
            prop_assert_eq!(seen, Some((text, analysis.positive_count, analysis.negative_count)));
        }

        #[test]
        fn any_marks_give_the_text_back(text in "\\PC{0,40}", marks in prop::collection::vec((0usize..60, 0usize..60, polarity()), 0..12)) {
            let marks: Vec<_> = marks.into_iter().map(|(start, end, polarity)| Mark { range: start..end, polarity }).collect();
            let analysis = render(&text, &marks);
            let seen = read(&analysis.analyzed_content);
            prop_assert_eq!(seen, Some((text, analysis.positive_count, analysis.negative_count)));
        }

        #[test]
        fn the_lexicon_gives_the_text_back(text in prose()) {
            let marks = crate::lexicon::analyze(&text);
            let analysis = render(&text, &marks);
            prop_assert_eq!((analysis.positive_count + analysis.negative_count) as usize, marks.len());
            prop_assert_eq!(read(&analysis.analyzed_content).map(|seen| seen.0), Some(text));
        }

        #[test]
        fn pieces_of_the_text_are_found_on_word_bounds(text in prose(), at in 0usize..40) {
            let words: Vec<&str> = text.unicode_words().collect();
            if let Some(word) = words.get(at) {
                let marks = locate(&text, &[(word.to_uppercase(), Positive)]);
                for mark in &marks {
                    prop_assert!(text.split_word_bound_indices().any(|(start, _)| start == mark.range.start));
                }
                if word.is_ascii() {
                    prop_assert_eq!(marks.len(), 1);
                }
            }
        }
    }
}
