//! Finds the programs of an installed Postgres.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt;

/// The oldest major version that will do.
const OLDEST: u32 = 13;

/// Two programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    version: u32,
}

impl Programs {
    /// The newest there is, or the one of the version that made the data. Installs Postgres where there is none.
    pub(super) fn find_or_install(data_version: Option<&str>) -> Result<Self> {
        let wanted = data_version
            .map(|version| {
                version
                    .parse()
                    .with_context(|| format!("data of an unknown Postgres version {version:?}"))
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
                "the local data were made by Postgres {version}, which is not installed (or remove .local/postgres to begin anew)"
            ),
            None => "the service needs a database; or set SPIN_VARIABLE_DATABASE_URL to one".to_owned(),
        })?;
        match choose(installed(), wanted) {
            Some(found) => Ok(found),
            None => bail!(
                "{package} is installed, but no Postgres {OLDEST} or newer is in the usual places; put its folder `bin` on the PATH"
            ),
        }
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
    let mut folders = Vec::new();
    for parent in ["/usr/lib/postgresql", "/usr/local/lib/postgresql"] {
        folders.extend(entries(parent, "").map(|folder| folder.join("bin")));
    }
    // Red Hat's and Homebrew's places.
    folders.extend(entries("/usr", "pgsql-").map(|folder| folder.join("bin")));
    for parent in [
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/home/linuxbrew/.linuxbrew/opt",
    ] {
        folders.extend(entries(parent, "postgresql").map(|folder| folder.join("bin")));
    }
    folders.extend(apt::find_program("postgres").and_then(|file| Some(file.parent()?.to_owned())));
    folders.push("/usr/bin".into());
    folders
        .iter()
        .filter_map(|folder| in_folder(folder))
        .collect()
}

fn entries(parent: &str, prefix: &'static str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}

fn in_folder(folder: &Path) -> Option<Programs> {
    let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
    if !apt::is_executable(&initdb) || !apt::is_executable(&postgres) {
        return None;
    }
    // Debian's folders say the version, which saves a process at every start.
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

/// The major version in what `postgres --version` prints.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("nonsense"), None);
    }

    #[test]
    fn the_newest_is_taken_unless_the_data_are_older() {
        let versions = [12, 15, 17];
        let found = || {
            let make = |version| Programs {
                initdb: PathBuf::new(),
                postgres: PathBuf::new(),
                version,
            };
            versions.into_iter().map(make).collect::<Vec<_>>()
        };
        assert_eq!(choose(found(), None).unwrap().version, 17);
        assert_eq!(choose(found(), Some(15)).unwrap().version, 15);
        assert!(choose(found(), Some(16)).is_none());
        assert!(choose(vec![found().remove(0)], None).is_none());
    }
}
