//! Renders a text and its marks as HTML.

use std::ops::Range;

/// Polarity of a feeling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Polarity {
    /// A positive feeling or judgment.
    Positive,
    /// A negative feeling or judgment.
    Negative,
}

/// A phrase of a text that expresses a feeling.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Byte range in the text.
    pub range: Range<usize>,
    /// Polarity of the feeling.
    pub polarity: Polarity,
}

/// A text as HTML whose only tags are `<span class="positive">`, `<span class="negative">` and `</span>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Markup {
    /// The HTML. Without the tags and with its entities decoded it equals the text.
    pub html: String,
    /// Number of positive spans.
    pub positive_count: i32,
    /// Number of negative spans.
    pub negative_count: i32,
}

/// Renders `text` with a span around each mark.
///
/// Ignores marks that are empty, out of bounds, not on character boundaries, or that overlap an earlier mark.
pub fn render(text: &str, marks: &[Mark]) -> Markup {
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| mark.range.start);
    let mut markup = Markup::default();
    markup.html.reserve(text.len() + text.len() / 4);
    let mut rendered = 0;
    for mark in marks {
        let (Some(before), Some(marked)) = (
            text.get(rendered..mark.range.start),
            text.get(mark.range.clone()),
        ) else {
            continue;
        };
        if marked.is_empty() {
            continue;
        }
        let (class, count) = match mark.polarity {
            Polarity::Positive => ("positive", &mut markup.positive_count),
            Polarity::Negative => ("negative", &mut markup.negative_count),
        };
        *count += 1;
        let html = &mut markup.html;
        escape(before, html);
        html.push_str("<span class=\"");
        html.push_str(class);
        html.push_str("\">");
        escape(marked, html);
        html.push_str("</span>");
        rendered = mark.range.end;
    }
    escape(text.get(rendered..).unwrap_or_default(), &mut markup.html);
    markup
}

/// Appends `text`, HTML-escaped, to `html`.
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
        *,
    };
    use crate::model::locate;

    fn render_ranges(text: &str, ranges: &[(Range<usize>, Polarity)]) -> Markup {
        let mark = |(range, polarity): &(Range<usize>, Polarity)| Mark {
            range: range.clone(),
            polarity: *polarity,
        };
        render(text, &ranges.iter().map(mark).collect::<Vec<_>>())
    }

    /// Whatever a model names as phrases, the HTML is the text with spans.
    #[test]
    fn fuzz_markup() {
        bolero::check!()
            .with_type::<(String, Vec<(String, bool)>)>()
            .for_each(|(text, phrases)| {
                let polarity = |is_positive| if is_positive { Positive } else { Negative };
                let phrases: Vec<_> = phrases
                    .iter()
                    .map(|(phrase, is_positive)| (phrase.clone(), polarity(*is_positive)))
                    .collect();
                let markup = render(text, &locate(text, &phrases));
                let count = |tag: &str| i32::try_from(markup.html.matches(tag).count()).unwrap();
                assert_eq!(count("<span class=\"positive\">"), markup.positive_count);
                assert_eq!(count("<span class=\"negative\">"), markup.negative_count);
                assert_eq!(
                    count("</span>"),
                    markup.positive_count + markup.negative_count
                );
                let mut plain = markup.html;
                for tag in [
                    "<span class=\"positive\">",
                    "<span class=\"negative\">",
                    "</span>",
                ] {
                    plain = plain.replace(tag, "");
                }
                assert!(!plain.contains(['<', '>', '"', '\'']), "{plain}");
                for (entity, character) in [
                    ("&lt;", "<"),
                    ("&gt;", ">"),
                    ("&quot;", "\""),
                    ("&#39;", "'"),
                    ("&amp;", "&"),
                ] {
                    plain = plain.replace(entity, character);
                }
                assert_eq!(&plain, text);
            });
    }

    #[test]
    fn escapes_the_text_inside_and_outside_of_spans() {
        let markup = render_ranges("a<b & \"c\"", &[(0..3, Negative), (6..9, Positive)]);
        assert_eq!(
            markup.html,
            "<span class=\"negative\">a&lt;b</span> &amp; <span class=\"positive\">&quot;c&quot;</span>"
        );
        assert_eq!((markup.positive_count, markup.negative_count), (1, 1));
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "one of the invalid marks")]
    fn ignores_invalid_marks() {
        let text = "été";
        for range in [0..0, 2..1, 1..3, 0..99, 9..12] {
            assert_eq!(
                render_ranges(text, &[(range.clone(), Positive)]),
                Markup {
                    html: text.to_owned(),
                    ..Markup::default()
                },
                "{range:?}"
            );
        }
        let overlapping = render_ranges("abc", &[(0..2, Positive), (1..3, Negative)]);
        assert_eq!(
            overlapping.html, "<span class=\"positive\">ab</span>c",
            "the earlier mark wins"
        );
    }
}
