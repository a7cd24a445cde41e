//! Tests the lexicon's accuracy on the labeled sentences that it may be tuned on.

use super::analyze;
use crate::markup::render;

const LABELED: &str = include_str!("../../../../tests/data/polarity.tsv");

/// Returns the polarity as in the field `sentiment` of the API.
fn polarity(text: &str) -> &'static str {
    let markup = render(text, &analyze(text));
    match markup.positive_count.cmp(&markup.negative_count) {
        std::cmp::Ordering::Greater => "positive",
        std::cmp::Ordering::Less => "negative",
        std::cmp::Ordering::Equal => "neutral",
    }
}

/// Returns the share of sentences whose polarity is the labeled one, and prints the others.
fn accuracy(difficulty: &str) -> f64 {
    let (mut right, mut all) = (0, 0);
    for line in LABELED.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, line_difficulty, kind, label, text] = columns[..] else {
            panic!("not five columns: {line}");
        };
        if line_difficulty != difficulty {
            continue;
        }
        all += 1;
        let polarity = polarity(text);
        if polarity == label {
            right += 1;
        } else {
            let html = render(text, &analyze(text)).html;
            println!("{kind}: {polarity} instead of {label}: {html}");
        }
    }
    f64::from(right) / f64::from(all)
}

#[test]
fn plain_sentences_have_their_labeled_polarity() {
    let accuracy = accuracy("plain");
    assert!(accuracy > 0.85, "{accuracy}");
}

#[test]
fn most_hard_sentences_have_their_labeled_polarity() {
    let accuracy = accuracy("hard");
    assert!(accuracy > 0.6, "{accuracy}");
}
