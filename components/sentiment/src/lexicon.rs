//! Marks the emotional phrases of a text by tables of words and grammatical rules, without a model.
//!
//! [`tokens`] splits the text and looks up each word. [`feelings`] finds the words and phrases that express a feeling.
//! [`negation`], [`hypothetical`], [`sarcasm`] and [`scoring`] then adjust, drop or negate these.

mod context;
mod feelings;
mod forms;
mod hypothetical;
#[cfg(test)]
mod labeled;
mod language;
mod negation;
mod preceding;
mod sarcasm;
mod scoring;
mod tables;
mod tokens;
mod word;
mod word_set;

use std::ops::Range;

use crate::markup::{Mark, Polarity};
use feelings::Feeling;
use tokens::{Kind, Token};

/// Returns the marks of `text`, in order, on word boundaries and without overlaps.
///
/// Only English is supported; in sentences of other languages only emoji and emoticons are marked. If one polarity
/// prevails, weak marks of the other are omitted, so that the number of marks shows the polarity of the whole text.
pub fn analyze(text: &str) -> Vec<Mark> {
    let tokens = tokens::tokenize(text);
    let foreign = language::foreign_tokens(&tokens);
    let mut feelings = feelings::find(text, &tokens, &foreign);
    negation::apply(&tokens, &mut feelings);
    sarcasm::apply(&tokens, &mut feelings);
    scoring::emphasize(text, &tokens, &mut feelings);
    scoring::contrast(&tokens, &mut feelings);
    scoring::settle(&mut feelings);
    marks(&tokens, &feelings)
}

/// Returns whether `text` is an emoticon that expresses a feeling, such as `:)`.
pub fn is_emoticon(text: &str) -> bool {
    text.is_ascii() && tables::symbol(text).is_some()
}

fn marks(tokens: &[Token<'_>], feelings: &[Feeling]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::with_capacity(feelings.len());
    let mut previous: Option<&Feeling> = None;
    for feeling in feelings {
        let unmarked = previous.map_or(0, |previous| previous.last + 1);
        let Some(range) = mark_range(tokens, feeling, unmarked) else {
            continue;
        };
        let polarity = if feeling.score > 0.0 {
            Polarity::Positive
        } else {
            Polarity::Negative
        };
        let joined = marks.last_mut().filter(|mark| {
            // Adjacent emoji become one mark.
            mark.polarity == polarity
                && mark.range.end == range.start
                && [Some(feeling), previous]
                    .into_iter()
                    .flatten()
                    .all(|one| is_symbol(tokens, one))
        });
        match joined {
            Some(mark) => mark.range.end = range.end,
            None => marks.push(Mark { range, polarity }),
        }
        previous = Some(feeling);
    }
    marks
}

fn is_symbol(tokens: &[Token<'_>], feeling: &Feeling) -> bool {
    let first = tokens.get(feeling.first).map(|token| token.kind);
    matches!(first, Some(Kind::Symbol(_)))
}

/// Most tokens between a negation and its feeling, the feeling included, for a mark to start at the negation.
const NEGATION_DISTANCE: usize = 5;

/// Returns the range of a feeling's mark. It includes the negation if that is near, and neither marked nor before
/// the token `unmarked`.
fn mark_range(tokens: &[Token<'_>], feeling: &Feeling, unmarked: usize) -> Option<Range<usize>> {
    let negation = feeling
        .negation
        .filter(|at| (unmarked..feeling.first).contains(at))
        .filter(|at| feeling.first - at <= NEGATION_DISTANCE);
    let first = tokens.get(negation.unwrap_or(feeling.first))?;
    let last = tokens.get(feeling.last)?;
    Some(first.range.start..last.range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text with its marks as `[+…]` and `[-…]`.
    fn marked(text: &str) -> String {
        let (mut marked, mut done) = (String::new(), 0);
        for mark in analyze(text) {
            let sign = if mark.polarity == Polarity::Positive {
                '+'
            } else {
                '-'
            };
            marked += &format!(
                "{}[{sign}{}]",
                &text[done..mark.range.start],
                &text[mark.range.clone()]
            );
            done = mark.range.end;
        }
        marked + &text[done..]
    }

    /// Asserts that each line, without its marks, gets exactly these marks.
    fn assert_marked(lines: &[&str]) {
        for line in lines {
            assert_eq!(
                marked(&line.replace("[+", "").replace("[-", "").replace(']', "")),
                *line
            );
        }
    }

    #[test]
    fn marks_only_words_of_feeling() {
        assert_marked(&[
            "I had a [+wonderful] day at the beach.",
            "The concert was cancelled. [-Disappointed] and [-lonely] tonight."
                .replace("cancelled", "[-cancelled]")
                .as_str(),
            "Went to the shop, bought milk and came home.",
        ]);
    }

    #[test]
    fn a_negation_negates_its_feeling_and_is_part_of_the_mark() {
        assert_marked(&[
            "I'm [-not happy] about it.",
            "It [-isn’t very good].",
            "We [-didn't really enjoy] the film.",
            "I [-don't think it was a good] idea.",
            "There is [-no joy] in this.",
            "The film [+wasn't bad] at all.",
            "[+No pain] today.",
            "I [-no longer enjoy] painting.",
            "[+Less anxious] than before.",
            "I was [-not happy] or [-proud].",
            "I [+regret] nothing.",
        ]);
    }

    #[test]
    fn idiomatic_negations_do_not_negate() {
        assert_marked(&[
            "I couldn't be [+happier]!",
            "Never felt [+better].",
            "I have never felt so [-lonely].",
            "I haven't been this [+happy] in years.",
            "Not only [+fun] but [+beautiful].",
            "I didn't go to the office, it was [+lovely] outside.",
            "I couldn't fix the [-problem].",
            "At least it was [+fun].",
        ]);
    }

    #[test]
    fn wishes_are_not_feelings() {
        assert_marked(&[
            "I hope it is better tomorrow.",
            "It would be nice to go.",
            "[-I wish] I had said something nice.",
            "I [-used to enjoy] this.",
            "I [-want to be happy] but I can't.",
            "I was too [-tired] to enjoy it.",
        ]);
    }

    #[test]
    fn the_clause_after_but_counts_more() {
        assert_marked(&[
            "I was so [+happy] today, but the train was [-awful].",
            "I [+love] my job but I [-hate] Mondays.",
            "The food was good but the service was [-terrible].",
            "It rained and I was tired, but the evening was absolutely [+wonderful].",
            "Although I was tired, it was a [+magical] evening.",
            "After a bad week, today was [+amazing].",
        ]);
    }

    #[test]
    fn ambiguous_words_need_their_context() {
        assert_marked(&[
            "I [+like] the flat, but it looks like rain.",
            "Everyone was so [+kind], the kind of people one meets there.",
            "He was [-mean] to me. I mean, he really was.",
            "I slept [+well]. I might as well go.",
            "I was pretty [-tired]. She looked [+pretty].",
            "Prices are low, but I felt [-low].",
            "My brother plays in a band called Sad Panda on Fridays.",
        ]);
    }

    #[test]
    fn marks_emoji_and_emoticons_in_any_language() {
        assert_marked(&[
            "See you at 8 [+:)]",
            "Montag [-😭😭😭]",
            "Je suis en retard [-😡][+❤️]",
            "[+👍🏽] ok",
        ]);
    }

    #[test]
    fn marks_phrases_as_a_whole() {
        assert_marked(&[
            "I'm [+looking forward to] it.",
            "She [-let me down].",
            "[-Great], another bill.",
            "[+Tears of joy]!",
        ]);
    }

    #[test]
    fn isolated_praise_before_bad_news_is_sarcasm() {
        assert_marked(&[
            "[-Brilliant]. The car has [-broken down].",
            "[-Great], I [-failed] again.",
            "[+Great]! My brother was [-sick] all day.",
            "[+Lovely], tea with a [-sad] but [+happy] friend.",
            "[+Wonderful] day. The car has [-broken down].",
        ]);
    }

    #[test]
    fn ignores_names_and_titles() {
        assert_marked(&[
            "Had lunch with Joy and her brother.",
            "We are reading Crime and Punishment at school.",
            "Changed trains at Mount Pleasant and walked.",
            "The Great Wall chapter is due on Friday.",
            "Such [+joy] in this house.",
            "GOT THE [+BEST] NEWS today.",
        ]);
    }

    #[test]
    fn ignores_words_of_feeling_in_factual_phrases() {
        assert_marked(&[
            "We saw a killer whale during happy hour.",
            "My great-grandmother went to the pain clinic.",
            "Signed up for a crash course in Excel.",
            "The charity shop has a fire drill and gluten-free cake.",
        ]);
    }

    #[test]
    fn a_negation_applies_to_a_whole_list() {
        assert_marked(&[
            "It was [-not warm], [-funny] or [-happy].",
            "[+Not a single argument] all day.",
            "I haven't had this much [+fun] since June.",
            "He [-never says he loves] me.",
        ]);
    }

    #[test]
    fn other_languages_get_no_marks() {
        assert_marked(&[
            "Die Musik war sehr gut und ich bin mit der Fun-Gruppe im Hotel Super.",
            "Die Kinder sind fast alle krank, der Rest war im Bad.",
            "C'était une journée horrible, très triste et fatigante.",
            "J'ai acheté du pain et une tarte avec ma sœur.",
            "La fiesta fue terrible y el final fatal.",
            "Me duele el pie y no tengo hambre.",
            "We zijn met de auto naar de stad gegaan en het was best warm.",
            "Bugün çok güzel bir gün, ama pazar için fazla sad.",
            "Idag var det en glad dag och jag fick en gift av min bror.",
            "Oggi sono andato al mare con mia sorella e la fine era bella.",
            "Hoje foi um dia terrível, mas o jantar com a minha mãe foi bom.",
            "Dzisiaj poszłam na targ z siostrą i był tam pan z psem.",
            "Tänään oli hyvä päivä, mutta olen sad ja väsynyt.",
        ]);
    }

    #[test]
    fn marks_the_english_sentences_of_a_mixed_text() {
        assert_marked(&[
            "I had a [+wonderful] day. Die Kinder sind mit der Oma im Bad und sehr lieb.",
            "Je suis allé au marché avec ma sœur, il y avait du pain. Then I felt [-sad].",
        ]);
    }

    #[test]
    fn analyzes_long_repetitive_texts_in_linear_time() {
        let start = std::time::Instant::now();
        for piece in [
            "but ",
            "but good ",
            "not ",
            "happy ",
            "so ",
            ":)",
            "😭",
            "a",
            "-",
            "'",
            "but, although good. ",
            "no a ",
            "sick and ",
            "é\u{301}",
        ] {
            analyze(&piece.repeat(20_000 / piece.len()));
        }
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }
}
