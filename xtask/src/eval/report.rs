//! The evaluation as Markdown tables.

use super::labeled::{Part, Polarity, Sentence};
use super::metrics::Metrics;
use super::vader::PACKAGE;

/// The share of plain sentences, in either part, that must be read right.
const PLAIN_GOAL: f64 = 0.85;

/// A sentence with its results.
pub struct Outcome {
    pub sentence: Sentence,
    /// The result of the service.
    pub ours: Polarity,
    /// None where VADER was not available.
    pub vader: Option<Polarity>,
}

/// Returns the wrong results in the tuning part, one a line.
pub fn misses(outcomes: &[Outcome]) -> String {
    let wrong = outcomes
        .iter()
        .filter(|one| one.sentence.part == Part::Tuning && one.ours != one.sentence.label);
    let line = |one: &Outcome| {
        let Sentence {
            id,
            kind,
            label,
            text,
            ..
        } = &one.sentence;
        let (ours, label) = (one.ours.name(), label.name());
        format!("{id} {kind}: {ours} instead of {label}: {text}\n")
    };
    wrong.map(line).collect()
}

/// Returns the document.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "# Evaluation\n\n\
        Written by `cargo xtask eval`: the polarity of labeled sentences as the service reads them with its word list, beside\n\
        that of `{PACKAGE}` (compound of 0.05 and above: positive; -0.05 and below: negative). The labels are those of\n\
        an author who did not look at the word list. Words and rules may be tuned on the one part; nobody looks at the other.\n"
    );
    let mut goals =
        "\n## Goals\n\n| | measured | goal | reached |\n|---|---:|---:|---|\n".to_owned();
    for (part, title) in [(Part::Tuning, "Tuning part"), (Part::HeldOut, "Held out")] {
        let all: Vec<&Outcome> = outcomes
            .iter()
            .filter(|one| one.sentence.part == part)
            .collect();
        let [plain, hard] = ["plain", "hard"]
            .map(|difficulty| select(&all, |sentence| sentence.difficulty == difficulty));
        text += &format!("\n## {title}\n\n{}", accuracies(&all, &plain, &hard));
        for (name, rows) in [("plain", &plain), ("hard", &hard), ("all", &all)] {
            text += &format!("\n{}", classes(name, rows));
        }
        for (what, measured, goal) in [
            (
                "accuracy, above VADER's",
                ours(&all).accuracy(),
                vader(&all).accuracy(),
            ),
            (
                "accuracy of the plain ones",
                ours(&plain).accuracy(),
                PLAIN_GOAL,
            ),
        ] {
            let reached = if measured > goal { "yes" } else { "no" };
            let (measured, goal) = (number(measured), number(goal));
            let title = title.to_lowercase();
            goals += &format!("| {title}: {what} | {measured} | > {goal} | {reached} |\n");
        }
    }
    text + &goals
}

fn select<'a>(rows: &[&'a Outcome], is_selected: impl Fn(&Sentence) -> bool) -> Vec<&'a Outcome> {
    rows.iter()
        .copied()
        .filter(|one| is_selected(&one.sentence))
        .collect()
}

fn ours(rows: &[&Outcome]) -> Metrics {
    rows.iter()
        .map(|one| (one.sentence.label, one.ours))
        .collect()
}

fn vader(rows: &[&Outcome]) -> Metrics {
    rows.iter()
        .filter_map(|one| Some((one.sentence.label, one.vader?)))
        .collect()
}

/// Returns the accuracy over all sentences, over plain and hard ones, and over each kind.
fn accuracies(all: &[&Outcome], plain: &[&Outcome], hard: &[&Outcome]) -> String {
    let mut text =
        "| | sentences | accuracy | VADER | macro F1 | VADER |\n|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let mut row = |name: &str, rows: &[&Outcome], is_kind: bool| {
        let (ours, vader) = (ours(rows), vader(rows));
        // Most kinds have sentences of one class only, for which a mean over three classes says nothing.
        let f1 = |metrics: &Metrics| {
            if is_kind {
                f64::NAN
            } else {
                metrics.macro_f1()
            }
        };
        let cells = [ours.accuracy(), vader.accuracy(), f1(&ours), f1(&vader)].map(number);
        text += &format!("| {name} | {} | {} |\n", ours.total(), cells.join(" | "));
    };
    row("all", all, false);
    for (difficulty, rows) in [("plain", plain), ("hard", hard)] {
        row(difficulty, rows, false);
        let mut kinds: Vec<&str> = rows.iter().map(|one| &*one.sentence.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let rows = select(rows, |sentence| sentence.kind == kind);
            row(&format!("{difficulty}: {kind}"), &rows, true);
        }
    }
    text
}

/// Returns precision, recall and F1 of each class.
fn classes(name: &str, rows: &[&Outcome]) -> String {
    let mut text = format!(
        "| {name} | precision | recall | F1 | VADER: precision | recall | F1 |\n|---|---:|---:|---:|---:|---:|---:|\n"
    );
    for class in Polarity::ALL {
        let cells = [ours(rows), vader(rows)].map(|metrics| {
            let values = [
                metrics.precision(class),
                metrics.recall(class),
                metrics.f1(class),
            ];
            values.map(number).join(" | ")
        });
        text += &format!("| {} | {} |\n", class.name(), cells.join(" | "));
    }
    text
}

/// Returns three decimals, or a dash for NaN.
fn number(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        part: Part,
        difficulty: &str,
        label: Polarity,
        ours: Polarity,
        vader: Option<Polarity>,
    ) -> Outcome {
        let sentence = Sentence {
            part,
            id: "d1".into(),
            difficulty: difficulty.into(),
            kind: "simple".into(),
            label,
            text: "A secret.".into(),
        };
        Outcome {
            sentence,
            ours,
            vader,
        }
    }

    #[test]
    fn has_rows_for_parts_difficulties_and_kinds() {
        use Polarity::{Negative, Neutral, Positive};
        let text = markdown(&[
            outcome(Part::Tuning, "plain", Positive, Positive, Some(Positive)),
            outcome(Part::Tuning, "plain", Negative, Negative, Some(Neutral)),
            outcome(Part::HeldOut, "hard", Negative, Positive, Some(Positive)),
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
    fn does_not_list_misses_of_the_held_out_part() {
        use Polarity::{Negative, Positive};
        let listed = misses(&[
            outcome(Part::Tuning, "plain", Positive, Negative, None),
            outcome(Part::Tuning, "plain", Positive, Positive, None),
            outcome(Part::HeldOut, "plain", Positive, Negative, None),
        ]);
        assert_eq!(
            listed,
            "d1 simple: negative instead of positive: A secret.\n"
        );
    }

    #[test]
    fn cells_of_vader_are_empty_without_it() {
        let outcome = outcome(
            Part::Tuning,
            "plain",
            Polarity::Neutral,
            Polarity::Neutral,
            None,
        );
        assert!(markdown(&[outcome]).contains("| all | 1 | 1.000 | – | 0.333 | – |"));
    }
}
