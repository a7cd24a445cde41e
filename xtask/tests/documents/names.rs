//! Names of settings and files in documents.

use std::collections::BTreeSet;

use crate::markdown::code_spans;

const PREFIX: &str = "SPIN_VARIABLE_";

/// Names that begin like a setting and are none, with what they are.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("log_min_duration_statement", "a setting of Postgres"),
    ("model_ms", "a field of a log line"),
    ("redis_ms", "a field of a log line"),
    ("write_count", "a function of the database"),
];

/// Folders of the repository in which named files must exist.
const FOLDERS: [&str; 10] = [
    "src/",
    "components/",
    "deploy/",
    "docs/",
    "migrations/",
    "tests/",
    "testbed/",
    "xtask/",
    "host/",
    ".github/",
];

/// What is created later.
pub const CREATED: [&str; 1] = ["deploy/compose/secrets"];

/// Returns the settings that a text names, with the numbers of their lines: those with the prefix of the environment,
/// and in Markdown the code spans that begin like a setting.
pub fn settings(text: &str, is_markdown: bool, known: &BTreeSet<String>) -> Vec<(usize, String)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices(PREFIX) {
            let name = line[at + PREFIX.len()..]
                .split(|letter| !is_name(letter))
                .next();
            // SPIN_VARIABLE_<NAME> and SPIN_VARIABLE_${1^^} stand for all of them.
            let name = name
                .unwrap_or_default()
                .trim_end_matches('_')
                .to_lowercase();
            if !name.is_empty() {
                found.push((index + 1, name));
            }
        }
    }
    let first = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    let beginnings: BTreeSet<String> = known.iter().map(|name| first(name)).collect();
    // Counters and histograms, which Prometheus names so.
    let is_metric = |name: &str| name.ends_with("_total") || name.ends_with("_seconds");
    let is_other =
        |name: &str| is_metric(name) || OTHER_NAMES.iter().any(|(other, _)| *other == name);
    if is_markdown {
        found.extend(code_spans(text).into_iter().filter(|(_, name)| {
            name.contains('_')
                && name.chars().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
                })
                && beginnings.contains(&first(name))
                && !is_other(name)
        }));
    }
    found
}

/// Returns the files of this repository that a text names by their paths, with the numbers of their lines. Paths with
/// a placeholder or a wildcard are left out.
pub fn paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words = line.split(|letter: char| {
            letter.is_whitespace()
                || ['`', '(', ')', '[', ']', '"', '\'', ',', ';', '|', '='].contains(&letter)
        });
        for word in words {
            let path = word.trim_end_matches(['.', ':', '/']);
            let path = path.strip_prefix("./").unwrap_or(path);
            let path = path.split(['#', ':']).next().unwrap_or_default();
            let is_ours = FOLDERS.iter().any(|folder| path.starts_with(folder));
            let is_pattern =
                path.contains(['<', '>', '*', '{', '}', '$', '…', '@']) || path.contains("NN");
            if is_ours && !is_pattern {
                found.push((index + 1, path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn finds_settings_in_the_environment_and_in_code_spans() {
    let known = BTreeSet::from(["log_level".to_owned(), "cors_origins".to_owned()]);
    let text = "SPIN_VARIABLE_LOG_LEVEL=x, SPIN_VARIABLE_<NAME>, `log_levels`, `cors_origin` and `user_stats`\n";
    let names =
        |found: Vec<(usize, String)>| found.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(
        names(settings(text, true, &known)),
        ["log_level", "log_levels", "cors_origin"]
    );
    assert_eq!(names(settings(text, false, &known)), ["log_level"]);
}

#[test]
fn finds_the_paths_of_files() {
    let text = "See `docs/a.md#b`, (deploy/x.sh) and src/lib.rs:3; not components/<name>/src or /etc/docs/a.\n";
    let found: Vec<String> = paths(text).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["docs/a.md", "deploy/x.sh", "src/lib.rs"]);
}
