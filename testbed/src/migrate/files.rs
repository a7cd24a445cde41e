//! The files of a folder of migrations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha384};

/// First line of a file whose only statement is repeated until it changes no row. Each run commits by itself.
const IN_BATCHES: &str = "-- in batches";

/// The files of a step.
pub struct Files {
    /// Name in the files' names, with blanks.
    pub name: String,
    /// What applies the step.
    pub up: Script,
    /// What reverts it.
    pub down: Script,
}

/// The text of a file.
pub struct Script {
    /// The SQL.
    pub sql: String,
    /// Whether it is one statement, repeated until it changes no row.
    pub in_batches: bool,
}

impl Script {
    fn read(path: &Path) -> Result<Self> {
        let sql =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            in_batches: sql.lines().next() == Some(IN_BATCHES),
            sql,
        })
    }

    /// Says what a failure leaves, for its message.
    pub fn kept_after_failure(&self) -> &'static str {
        if self.in_batches {
            "its batches so far were kept"
        } else {
            "nothing of it was kept"
        }
    }

    /// Returns the checksum by which sqlx recognizes a file.
    pub fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.sql.as_bytes()).to_vec()
    }
}

/// Reads `<number>_<name>.up.sql` and the `.down.sql` beside each.
pub fn read(folder: &Path) -> Result<BTreeMap<i64, Files>> {
    let mut files = BTreeMap::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = file.strip_suffix(".up.sql") else {
            continue;
        };
        let (version, name) = stem
            .split_once('_')
            .and_then(|(number, name)| Some((number.parse().ok()?, name.replace('_', " "))))
            .with_context(|| format!("{} must be named <number>_<name>.up.sql", path.display()))?;
        let step = Files {
            name,
            up: Script::read(&path)?,
            down: Script::read(&folder.join(format!("{stem}.down.sql")))?,
        };
        if files.insert(version, step).is_some() {
            bail!(
                "two steps in {} have the number {version}",
                folder.display()
            );
        }
    }
    Ok(files)
}
