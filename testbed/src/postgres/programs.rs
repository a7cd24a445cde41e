//! Finds the programs of an installed Postgres.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;

/// The oldest supported major version.
const OLDEST: u32 = 13;

/// Folders that hold one folder per installed version, by the beginning of that folder's name:
/// Debian's, Red Hat's and Homebrew's.
const VERSION_FOLDERS: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""),
    ("/usr/local/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
];

/// Two programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    version: u32,
}

impl Programs {
    /// Returns the newest ones, or those of the version that created the data. Installs Postgres if there is none.
    pub(super) fn find_or_install(data_version: Option<&str>) -> Result<Self> {
        let wanted = data_version
            .map(|version| {
                version.parse::<u32>().with_context(|| {
                    format!("the data are of an unknown Postgres version {version:?}")
                })
            })
            .transpose()?;
        if let Some(found) = choose(installed(), wanted) {
            return Ok(found);
        }
        let package = match wanted {
            Some(version) => format!("postgresql-{version}"),
            None => "postgresql".to_owned(),
        };
        apt::install(&[&package], "Postgres 13 or newer").with_context(|| match wanted {
            Some(version) => format!(
                "the local data were created by Postgres {version}, which is not installed; to start without them, remove .local/postgres"
            ),
            None => "the service needs Postgres; set SPIN_VARIABLE_DATABASE_URL to use an existing one".to_owned(),
        })?;
        choose(installed(), wanted).with_context(|| {
            format!("{package} is installed, but no suitable Postgres is in the usual places: put its folder `bin` on the PATH")
        })
    }
}

fn choose(mut found: Vec<Programs>, wanted: Option<u32>) -> Option<Programs> {
    found.retain(|programs| match wanted {
        Some(version) => programs.version == version,
        None => programs.version >= OLDEST,
    });
    found.into_iter().max_by_key(|programs| programs.version)
}

fn installed() -> Vec<Programs> {
    let on_path = which::which("postgres").ok();
    let on_path = on_path.and_then(|file| Some(file.parent()?.to_owned()));
    VERSION_FOLDERS
        .iter()
        .flat_map(|(parent, prefix)| folders(parent, prefix))
        .map(|folder| folder.join("bin"))
        .chain(on_path)
        .chain(["/usr/bin".into()])
        .filter_map(|folder| programs_in(&folder))
        .collect()
}

fn folders(parent: &str, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}

fn programs_in(folder: &Path) -> Option<Programs> {
    let initdb = which::which(folder.join("initdb")).ok()?;
    let postgres = which::which(folder.join("postgres")).ok()?;
    // The names of Debian's folders are versions, which saves a process at every start.
    let from_path = folder.parent()?.file_name()?.to_str()?.parse().ok();
    let version = from_path.or_else(|| {
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        major_version(&String::from_utf8_lossy(&output.stdout))
    })?;
    Some(Programs {
        initdb,
        postgres,
        version,
    })
}

/// Parses the major version in the output of `postgres --version`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let is_no_digit = |letter: char| !letter.is_ascii_digit();
    version.split(is_no_digit).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_versions() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("another program"), None);
    }

    #[test]
    fn chooses_the_newest_or_the_one_that_fits_the_data() {
        let found = || {
            let programs = |version| Programs {
                initdb: PathBuf::new(),
                postgres: PathBuf::new(),
                version,
            };
            [12, 15, 17].map(programs).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(choose(found(), None).unwrap().version, 17);
        assert_eq!(choose(found(), Some(15)).unwrap().version, 15);
        assert!(choose(found(), Some(16)).is_none());
        assert!(choose(vec![found().remove(0)], None).is_none());
    }
}
