//! The service's settings: `SPIN_VARIABLE_<NAME>` and `.env`, as Spin reads them, and what follows from them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use url::Url;

/// What stands before the name of every variable.
pub const PREFIX: &str = "SPIN_VARIABLE_";

/// Values of the application's variables by their lower-case names without prefix. Its `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// Those of the environment and, behind it, of the file `.env` in the repository's root.
    ///
    /// # Errors
    /// When a line of the file or a value cannot be read; the message names it and shows no value.
    pub fn load() -> Result<Self> {
        Self::from(std::env::vars_os(), &crate::workspace().join(".env"))
    }

    fn from(
        environment: impl Iterator<Item = (OsString, OsString)>,
        dotenv: &Path,
    ) -> Result<Self> {
        let mut values = BTreeMap::new();
        if dotenv.exists() {
            let lines = dotenvy::from_path_iter(dotenv)
                .map_err(|_| anyhow!("cannot read {}", dotenv.display()))?;
            let mut last = "its beginning".to_owned();
            for line in lines {
                // The error would show the line, which may hold a secret.
                let (key, value) = line.map_err(|_| {
                    anyhow!(
                        "{}: the line after {last} is not NAME=value; values with blanks or # need quotes",
                        dotenv.display()
                    )
                })?;
                insert(&mut values, &key, value);
                last = key;
            }
        }
        for (key, value) in environment {
            if let Some(key) = key.to_str() {
                let value = value.into_string();
                if key.starts_with(PREFIX) {
                    insert(
                        &mut values,
                        key,
                        value.map_err(|_| anyhow!("{key} is not UTF-8"))?,
                    );
                }
            }
        }
        Ok(Self(values))
    }

    /// A value that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets `database_host` and `redis_host` from the URLs, where they are not set themselves.
    ///
    /// # Errors
    /// When a URL is no URL of its kind. The message names the setting and does not show it.
    pub fn derive_hosts(&mut self) -> Result<()> {
        for (host, url, of) in [
            (
                "database_host",
                "database_url",
                database_host as fn(&str) -> Result<String>,
            ),
            ("redis_host", "redis_url", redis_host),
        ] {
            if self.get(host).is_none()
                && let Some(address) = self.get(url)
            {
                let derived = of(address).with_context(|| {
                    format!("{PREFIX}{} is not usable", url.to_ascii_uppercase())
                })?;
                self.set(host, derived);
            }
        }
        Ok(())
    }

    /// All values, as [`runtime::Options`](crate::runtime::Options) wants them.
    #[must_use]
    pub fn into_variables(self) -> BTreeMap<String, String> {
        self.0
    }
}

fn insert(values: &mut BTreeMap<String, String>, key: &str, value: String) {
    if let Some(name) = key.strip_prefix(PREFIX) {
        values.insert(name.to_ascii_lowercase(), value);
    }
}

/// Host and port of a Postgres URL, as `allowed_outbound_hosts` wants them.
///
/// # Errors
/// When it is not `postgres://host…`; the URL is not shown.
pub fn database_host(url: &str) -> Result<String> {
    host_and_port(url, &["postgres", "postgresql"], 5432)
}

/// Host and port of a Redis URL, as `allowed_outbound_hosts` wants them.
///
/// # Errors
/// When it is not `redis://host…` or `rediss://host…`; the URL is not shown.
pub fn redis_host(url: &str) -> Result<String> {
    host_and_port(url, &["redis", "rediss"], 6379)
}

fn host_and_port(url: &str, schemes: &[&str], default_port: u16) -> Result<String> {
    let parsed = Url::parse(url).map_err(|_| {
        anyhow!("it must be {}://user:password@host:port/name, with special characters of the password percent-encoded", schemes[0])
    })?;
    if !schemes.contains(&parsed.scheme()) {
        bail!("it must begin with {}://", schemes.join(":// or "));
    }
    let host = parsed.host_str().unwrap_or_default();
    ensure!(!host.is_empty(), "it names no host");
    Ok(format!("{host}:{}", parsed.port().unwrap_or(default_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_from_urls() {
        for (url, host) in [
            ("postgres://u:p@db.example:6543/diary", "db.example:6543"),
            (
                "postgresql://u@db.example/diary?sslmode=require",
                "db.example:5432",
            ),
            ("postgres://u:p%40ss%2Fw%3Ard@10.0.0.7/d", "10.0.0.7:5432"),
            ("postgres://u:p@[::1]/d", "[::1]:5432"),
            ("postgres://u:p@[2001:db8::2]:7000/d", "[2001:db8::2]:7000"),
        ] {
            assert_eq!(database_host(url).unwrap(), host, "{url}");
        }
        for (url, host) in [
            ("redis://127.0.0.1", "127.0.0.1:6379"),
            (
                "rediss://:secret@cache.example:6380/0",
                "cache.example:6380",
            ),
            ("redis://[::1]:7777/2", "[::1]:7777"),
        ] {
            assert_eq!(redis_host(url).unwrap(), host, "{url}");
        }
    }

    #[test]
    fn wrong_urls_are_refused_without_being_shown() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@/d",
            "postgres:///hunter2",
            "hunter2",
            "postgres://u:hunter2@h:99999/d",
        ] {
            let error = format!("{:#}", database_host(url).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(redis_host("http://127.0.0.1").is_err());
    }

    fn load(environment: &[(&str, &str)], dotenv: &str) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, dotenv).unwrap();
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        Settings::from(environment, &file)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings = load(
            &[("SPIN_VARIABLE_LOG_LEVEL", "debug"), ("LOG_LEVEL", "x")],
            "# a comment\nSPIN_VARIABLE_LOG_LEVEL=warn\nSPIN_VARIABLE_CORS_ORIGINS=\"a, b\"\nOTHER=1\nSPIN_VARIABLE_GITHUB_TOKEN=\n",
        )
        .unwrap();
        assert_eq!(settings.get("log_level"), Some("debug"));
        assert_eq!(settings.get("cors_origins"), Some("a, b"));
        assert_eq!(settings.get("github_token"), None);
        assert_eq!(settings.into_variables().len(), 3);
    }

    #[test]
    fn a_broken_line_is_named_by_its_place_only() {
        let error = load(
            &[],
            "SPIN_VARIABLE_LOG_LEVEL=warn\nSPIN_VARIABLE_GITHUB_TOKEN=hunter2 and more\n",
        );
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("SPIN_VARIABLE_LOG_LEVEL"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn derived_hosts_do_not_replace_given_ones() {
        let mut settings = load(
            &[
                ("SPIN_VARIABLE_DATABASE_URL", "postgres://a/b"),
                ("SPIN_VARIABLE_DATABASE_HOST", "*:5432"),
                ("SPIN_VARIABLE_REDIS_URL", "redis://r"),
            ],
            "",
        )
        .unwrap();
        settings.derive_hosts().unwrap();
        assert_eq!(settings.get("database_host"), Some("*:5432"));
        assert_eq!(settings.get("redis_host"), Some("r:6379"));
    }

    #[test]
    fn a_wrong_url_is_named() {
        let mut settings = load(&[("SPIN_VARIABLE_REDIS_URL", "http://hunter2")], "").unwrap();
        let error = format!("{:#}", settings.derive_hosts().unwrap_err());
        assert!(
            error.contains("SPIN_VARIABLE_REDIS_URL") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
