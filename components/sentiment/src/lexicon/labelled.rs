//! Holds the word list to the labelled sentences that it may be tuned on.

use super::analyze;
use crate::markup::render;

const LABELLED: &str = include_str!("../../../../tests/data/polarity.tsv");

/// As the API has it.
fn polarity(text: &str) -> &'static str {
    let analysis = render(text, &analyze(text));
    match analysis.positive_count.cmp(&analysis.negative_count) {
        std::cmp::Ordering::Greater => "positive",
        std::cmp::Ordering::Less => "negative",
        std::cmp::Ordering::Equal => "neutral",
    }
}

/// The share that is read as it is labelled; prints what is not.
fn accuracy(difficulty: &str) -> f64 {
    let (mut right, mut all) = (0, 0);
    for line in LABELLED.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, of, kind, label, text] = columns[..] else {
            panic!("not five columns: {line}");
        };
        if of != difficulty {
            continue;
        }
        all += 1;
        let read = polarity(text);
        if read == label {
            right += 1;
        } else {
            let html = render(text, &analyze(text)).analyzed_content;
            println!("{kind}: {read} instead of {label}: {html}");
        }
    }
    f64::from(right) / f64::from(all)
}

#[test]
fn plain_sentences_are_read_as_labelled() {
    let accuracy = accuracy("plain");
    assert!(accuracy > 0.85, "{accuracy}");
}

#[test]
fn hard_sentences_are_mostly_read_as_labelled() {
    let accuracy = accuracy("hard");
    assert!(accuracy > 0.6, "{accuracy}");
}
