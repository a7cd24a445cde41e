//! Property tests over the whole crate: markup preserves the text, whatever the model replies.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use crate::{
    lexicon,
    markup::{
        Mark,
        Polarity::{self, Negative, Positive},
        render,
    },
    model::locate,
};

/// Parses markup as a client does: returns the text and the numbers of positive and negative spans; `None` if there is
/// any other tag, an unescaped character, or a span that is not closed.
fn parse(html: &str) -> Option<(String, i32, i32)> {
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
        } else if let Some((entity, character)) =
            entities.iter().find(|(entity, _)| rest.starts_with(entity))
        {
            text.push(*character);
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

/// Text from a small vocabulary, so that random phrases often occur in random texts.
fn any_text() -> impl Strategy<Value = String> {
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
    fn markup_of_any_reply_preserves_the_text(text in any_text(), phrases in prop::collection::vec((any_text(), polarity()), 0..12)) {
        let markup = render(&text, &locate(&text, &phrases));
        let parsed = parse(&markup.html);
        prop_assert_eq!(parsed, Some((text, markup.positive_count, markup.negative_count)));
    }

    #[test]
    fn markup_of_any_marks_preserves_the_text(text in "\\PC{0,40}", marks in prop::collection::vec((0usize..60, 0usize..60, polarity()), 0..12)) {
        let marks: Vec<_> = marks.into_iter().map(|(start, end, polarity)| Mark { range: start..end, polarity }).collect();
        let markup = render(&text, &marks);
        let parsed = parse(&markup.html);
        prop_assert_eq!(parsed, Some((text, markup.positive_count, markup.negative_count)));
    }

    #[test]
    fn markup_of_the_lexicon_preserves_the_text(text in any_text()) {
        let marks = lexicon::analyze(&text);
        let markup = render(&text, &marks);
        prop_assert_eq!((markup.positive_count + markup.negative_count) as usize, marks.len());
        prop_assert_eq!(parse(&markup.html).map(|parsed| parsed.0), Some(text));
    }

    #[test]
    fn locates_words_of_the_text_on_word_boundaries(text in any_text(), at in 0usize..40) {
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
