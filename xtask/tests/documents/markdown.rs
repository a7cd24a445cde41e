//! Links, headings and code spans of Markdown.

use std::collections::BTreeSet;

/// Returns the numbered lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((index + 1, line))
    })
}

/// Returns the targets of the links, with the numbers of their lines.
pub fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            // An even number of backticks before it: the link is not in a code span.
            if line[..at].matches('`').count() % 2 == 0 {
                found.push((number, target.to_owned()));
            }
        }
        for (at, attribute) in line.match_indices("src=\"") {
            let target = line[at + attribute.len()..]
                .split('"')
                .next()
                .unwrap_or_default();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// Returns the anchors that GitHub gives to the headings.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    let kept: String = heading.trim().chars().filter(kept).collect();
    kept.to_lowercase().replace(' ', "-")
}

/// Returns the code spans, with the numbers of their lines.
pub fn code_spans(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for span in line.split('`').skip(1).step_by(2) {
            found.push((number, span.to_owned()));
        }
    }
    found
}

#[test]
fn makes_the_anchors_of_github() {
    for (heading, expected) in [
        ("Two words", "two-words"),
        (
            "A replica, and its `failover`",
            "a-replica-and-its-failover",
        ),
        ("Point-in-time recovery", "point-in-time-recovery"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}
