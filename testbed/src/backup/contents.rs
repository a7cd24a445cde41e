//! The contents of a database in numbers, to compare a restored one with what was backed up.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

/// The lines that `deploy/postgres/contents.sql` prints: numbers by the kind and the name of what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(BTreeMap<(String, String), String>);

impl Contents {
    /// Parses lines such as `rows users 12` and `totals 30 10 5`, which has no name.
    pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self> {
        let parse = |line: &str| {
            let (kind, rest) = line.split_once(' ')?;
            let (name, numbers) = match kind {
                "totals" | "entries" => ("", rest),
                _ => rest.split_once(' ')?,
            };
            Some(((kind.to_owned(), name.to_owned()), numbers.to_owned()))
        };
        let lines = lines.map(|line| {
            parse(line)
                .with_context(|| format!("{line:?} is not a line of deploy/postgres/contents.sql"))
        });
        lines.collect::<Result<_>>().map(Self)
    }

    /// Reads the contents beside a backup. One that another program has written has none.
    pub(super) fn beside(file: &Path) -> Result<Option<Self>> {
        let path = file.with_extension("contents");
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(text.lines()).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Returns the number of rows in all tables but the record of migrations.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let rows = self
            .0
            .iter()
            .filter(|((kind, name), _)| kind == "rows" && name != "_sqlx_migrations");
        rows.map(|(_, number)| number.parse().unwrap_or(0)).sum()
    }

    /// Returns the number of tables.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.0.keys().filter(|(kind, _)| kind == "rows").count()
    }

    /// Returns how restored contents differ from those of the backup.
    #[must_use]
    pub fn differences(&self, backup: &Self) -> Vec<String> {
        let mut keys: Vec<_> = self.0.keys().chain(backup.0.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let difference = |key: &(String, String)| {
            let (kind, name) = key;
            let (restored, expected) = (self.0.get(key), backup.0.get(key));
            let is_right = match (restored, expected) {
                // Sequences are no part of a snapshot: they may have advanced before they were dumped.
                (Some(restored), Some(expected)) if kind == "sequence" => {
                    number(restored) >= number(expected)
                }
                _ => restored == expected,
            };
            let [restored, expected] =
                [restored, expected].map(|numbers| numbers.map_or("none", String::as_str));
            let what = format!("{kind} {name}");
            let what = what.trim_end();
            (!is_right).then(|| format!("{what}: {restored} restored, {expected} backed up"))
        };
        keys.into_iter().filter_map(difference).collect()
    }

    /// Returns what is wrong with the contents, for a backup without numbers to compare them with.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let get = |kind: &str, name: &str| self.0.get(&(kind.to_owned(), name.to_owned()));
        let mut found = Vec::new();
        if let (Some(totals), Some(entries)) = (get("totals", ""), get("entries", ""))
            && totals != entries
        {
            found.push(format!(
                "the totals in user_stats are {totals}, those of the entries {entries}"
            ));
        }
        for ((kind, name), highest) in &self.0 {
            if kind == "highest"
                && get("sequence", name).is_none_or(|last| number(last) < number(highest))
            {
                found.push(format!(
                    "the sequence {name} would repeat an id, because {highest} exists"
                ));
            }
        }
        found
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 6] = [
        "rows _sqlx_migrations 17",
        "rows users 2",
        "totals 30 10 5",
        "entries 30 10 5",
        "sequence users_id_seq 7",
        "highest users_id_seq 6",
    ];

    fn contents(lines: &[&str]) -> Contents {
        Contents::parse(lines.iter().copied()).unwrap()
    }

    fn with(line: usize, replacement: &'static str) -> Contents {
        let mut lines = LINES;
        lines[line] = replacement;
        contents(&lines)
    }

    #[test]
    fn counts_tables_and_rows() {
        assert_eq!(contents(&LINES).tables(), 2);
        assert_eq!(contents(&LINES).rows(), 2);
        assert!(Contents::parse(["nonsense"].into_iter()).is_err());
    }

    #[test]
    fn finds_what_a_restoration_has_lost() {
        let backup = contents(&LINES);
        for (line, restored, expected) in [
            (1, "rows users 2", &[][..]),
            (1, "rows users 1", &["rows users: 1 restored, 2 backed up"]),
            (
                1,
                "rows other 2",
                &[
                    "rows other: 2 restored, none backed up",
                    "rows users: none restored, 2 backed up",
                ],
            ),
            (
                2,
                "totals 31 10 5",
                &["totals: 31 10 5 restored, 30 10 5 backed up"],
            ),
            (4, "sequence users_id_seq 8", &[]),
            (
                4,
                "sequence users_id_seq 6",
                &["sequence users_id_seq: 6 restored, 7 backed up"],
            ),
        ] {
            assert_eq!(
                with(line, restored).differences(&backup),
                expected,
                "{restored}"
            );
        }
    }

    #[test]
    fn finds_contents_that_contradict_each_other() {
        assert_eq!(contents(&LINES).contradictions(), Vec::<String>::new());
        assert_eq!(
            with(2, "totals 31 10 5").contradictions(),
            ["the totals in user_stats are 31 10 5, those of the entries 30 10 5"]
        );
        assert_eq!(
            with(4, "sequence users_id_seq 5").contradictions(),
            ["the sequence users_id_seq would repeat an id, because 6 exists"]
        );
    }
}
