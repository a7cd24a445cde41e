//! The evaluation as Markdown tables.

use std::fmt::Write;

use super::Read;
use super::labelled::{Part, Polarity};
use super::metrics::Metrics;
use super::vader::PACKAGE;

/// Of the plain sentences of either part, so many must be read right.
const PLAIN_GOAL: f64 = 0.85;

/// What was read wrong in the part that may be looked at, one line each.
pub fn misses(read: &[Read]) -> String {
    let mut text = String::new();
    for one in read.iter().filter(|one| one.ours != one.sentence.label) {
        let sentence = &one.sentence;
        if sentence.part == Part::Tuning {
            let (id, kind) = (&sentence.id, &sentence.kind);
            let (ours, label) = (one.ours.name(), sentence.label.name());
            let _ = writeln!(
                text,
                "{id} {kind}: {ours} instead of {label}: {}",
                sentence.text
            );
        }
    }
    text
}

/// The document.
pub fn markdown(read: &[Read]) -> String {
    let mut text = format!(
        "# Evaluation\n\n\
        Written by `cargo xtask eval`: the polarity of labelled sentences as the service reads them with its word list, beside\n\
        that of `{PACKAGE}` (compound of 0.05 and above: positive; -0.05 and below: negative). What the labels say was\n\
        written by somebody who did not look at the word list. Words and rules may be tuned on the one part; nobody looks at the other.\n"
    );
    for (part, title) in [(Part::Tuning, "Tuning part"), (Part::HeldOut, "Held out")] {
        let rows: Vec<&Read> = read
            .iter()
            .filter(|one| one.sentence.part == part)
            .collect();
        let _ = write!(text, "\n## {title}\n\n{}", accuracies(&rows));
        for difficulty in ["plain", "hard"] {
            let of = |one: &&Read| one.sentence.difficulty == difficulty;
            let some: Vec<&Read> = rows.iter().copied().filter(of).collect();
            let _ = write!(text, "\n{}", classes(difficulty, &some));
        }
        let _ = write!(text, "\n{}", classes("all", &rows));
    }
    let _ = write!(text, "\n{}", goals(read));
    text
}

fn ours<'a>(rows: impl IntoIterator<Item = &'a &'a Read>) -> Metrics {
    let pair = |one: &&Read| (one.sentence.label, one.ours);
    rows.into_iter().map(pair).collect()
}

/// Without sentences where VADER was not there.
fn vader<'a>(rows: impl IntoIterator<Item = &'a &'a Read>) -> Metrics {
    let pair = |one: &&Read| Some((one.sentence.label, one.vader?));
    rows.into_iter().filter_map(pair).collect()
}

/// Accuracy of all, of plain and hard ones, and of each kind.
fn accuracies(rows: &[&Read]) -> String {
    let mut text =
        "| | sentences | accuracy | VADER | macro F1 | VADER |\n|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let mut row = |name: &str, some: &[&Read], macro_f1: bool| {
        let (ours, vader) = (ours(some), vader(some));
        let f1 = |metrics: &Metrics| {
            if macro_f1 && metrics.total() > 0 {
                metrics.macro_f1()
            } else {
                f64::NAN
            }
        };
        let shown = [ours.accuracy(), vader.accuracy(), f1(&ours), f1(&vader)].map(figure);
        let _ = writeln!(
            text,
            "| {name} | {} | {} |",
            ours.total(),
            shown.join(" | ")
        );
    };
    row("all", rows, true);
    for difficulty in ["plain", "hard"] {
        let of = |one: &&Read| one.sentence.difficulty == difficulty;
        let some: Vec<&Read> = rows.iter().copied().filter(of).collect();
        row(difficulty, &some, true);
        let mut kinds: Vec<&str> = some.iter().map(|one| &*one.sentence.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let of = |one: &&Read| one.sentence.kind == kind;
            let some: Vec<&Read> = some.iter().copied().filter(of).collect();
            // Most kinds have one class only, which makes a mean over three meaningless.
            row(&format!("{difficulty}: {kind}"), &some, false);
        }
    }
    text
}

fn classes(name: &str, rows: &[&Read]) -> String {
    let (ours, vader) = (ours(rows), vader(rows));
    let mut text = format!(
        "| {name} | precision | recall | F1 | VADER: precision | recall | F1 |\n|---|---:|---:|---:|---:|---:|---:|\n"
    );
    for class in Polarity::ALL {
        let mut cells = Vec::new();
        for metrics in [&ours, &vader] {
            let f1 = if metrics.total() == 0 {
                f64::NAN
            } else {
                metrics.f1(class)
            };
            cells.extend([metrics.precision(class), metrics.recall(class), f1].map(figure));
        }
        let _ = writeln!(text, "| {} | {} |", class.name(), cells.join(" | "));
    }
    text
}

fn goals(read: &[Read]) -> String {
    let mut text = "## Goals\n\n| | measured | goal | reached |\n|---|---:|---:|---|\n".to_owned();
    for (part, title) in [(Part::Tuning, "tuning part"), (Part::HeldOut, "held out")] {
        let rows: Vec<&Read> = read
            .iter()
            .filter(|one| one.sentence.part == part)
            .collect();
        let plain = rows.iter().filter(|one| one.sentence.difficulty == "plain");
        let (all, plain, vader) = (ours(&rows), ours(plain), vader(&rows));
        for (what, measured, goal) in [
            ("accuracy, above VADER's", all.accuracy(), vader.accuracy()),
            ("accuracy of the plain ones", plain.accuracy(), PLAIN_GOAL),
        ] {
            let reached = if measured > goal { "yes" } else { "no" };
            let (measured, goal) = (figure(measured), figure(goal));
            let _ = writeln!(
                text,
                "| {title}: {what} | {measured} | > {goal} | {reached} |"
            );
        }
    }
    text
}

/// Three decimals; a dash for what there is not.
fn figure(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::labelled::Sentence;

    fn read(
        part: Part,
        difficulty: &str,
        label: Polarity,
        ours: Polarity,
        vader: Option<Polarity>,
    ) -> Read {
        let sentence = Sentence {
            part,
            id: "d1".into(),
            difficulty: difficulty.into(),
            kind: "simple".into(),
            label,
            text: "A secret.".into(),
        };
        Read {
            sentence,
            ours,
            vader,
        }
    }

    #[test]
    fn parts_difficulties_and_kinds_have_rows_of_their_own() {
        use Polarity::{Negative, Neutral, Positive};
        let text = markdown(&[
            read(Part::Tuning, "plain", Positive, Positive, Some(Positive)),
            read(Part::Tuning, "plain", Negative, Negative, Some(Neutral)),
            read(Part::HeldOut, "hard", Negative, Positive, Some(Positive)),
        ]);
        for line in [
            "| all | 2 | 1.000 | 0.500 | 0.667 | 0.333 |",
            "| plain: simple | 2 | 1.000 | 0.500 | – | – |",
            "| hard: simple | 1 | 0.000 | 0.000 | – | – |",
            "| negative | 1.000 | 1.000 | 1.000 | – | 0.000 | 0.000 |",
            "| tuning part: accuracy, above VADER's | 1.000 | > 0.500 | yes |",
            "| held out: accuracy, above VADER's | 0.000 | > 0.000 | no |",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn misses_of_the_part_set_aside_are_not_listed() {
        use Polarity::{Negative, Positive};
        let listed = misses(&[
            read(Part::Tuning, "plain", Positive, Negative, None),
            read(Part::Tuning, "plain", Positive, Positive, None),
            read(Part::HeldOut, "plain", Positive, Negative, None),
        ]);
        assert_eq!(
            listed,
            "d1 simple: negative instead of positive: A secret.\n"
        );
    }

    #[test]
    fn without_vader_its_cells_are_empty() {
        let read = read(
            Part::Tuning,
            "plain",
            Polarity::Neutral,
            Polarity::Neutral,
            None,
        );
        assert!(markdown(&[read]).contains("| all | 1 | 1.000 | – | 0.333 | – |"));
    }
}
