//! The service's settings: the table in `spin.toml`, and the values in the environment and `.env`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use url::Url;

/// Prefix of the environment variable that sets a setting.
pub const PREFIX: &str = "SPIN_VARIABLE_";

/// `jwt_secret_key` of the service that the end-to-end tests call, so that they can forge tokens.
pub const TEST_JWT_KEY: &str = "a key for tests, longer than thirty-two bytes";

/// `sweep_token` of the service that the end-to-end tests call.
pub const TEST_SWEEP_TOKEN: &str = "sweep-token-of-the-tests";

/// `github_token` of the service that the end-to-end tests call, whose model they are.
pub const TEST_MODEL_TOKEN: &str = "model-token-of-the-tests";

/// One entry of `[variables]` in `spin.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Variable {
    /// The name in lower case, without prefix.
    #[serde(skip)]
    pub name: String,
    /// What it means, in one or more sentences.
    #[serde(default)]
    pub description: String,
    /// The value when none is set; none for a required one.
    pub default: Option<String>,
    /// Whether a value must be set.
    #[serde(default)]
    pub required: bool,
    /// Whether the value must not be shown.
    #[serde(default)]
    pub secret: bool,
}

impl Variable {
    /// Returns the name of the environment variable that sets it.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// Returns the variable whose URL contains this host: `database_url` for `database_host`, `sentry_dsn` for
    /// `sentry_host`.
    fn url_variable<'a>(&self, all: &'a [Self]) -> Option<&'a Self> {
        let prefix = self.name.strip_suffix("_host")?;
        let urls = ["url", "dsn"].map(|kind| format!("{prefix}_{kind}"));
        all.iter().find(|variable| urls.contains(&variable.name))
    }
}

/// Reads the table of all settings, in its order.
///
/// # Errors
/// When `spin.toml` cannot be read.
pub fn variables() -> Result<Vec<Variable>> {
    #[derive(Deserialize)]
    struct Manifest {
        variables: toml::Table,
    }
    let path = crate::workspace().join("spin.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest = toml::from_str(&text)?;
    let entries = manifest.variables.into_iter();
    let variable = |(name, value): (String, toml::Value)| {
        let variable: Variable = value.try_into()?;
        Ok(Variable { name, ..variable })
    };
    entries.map(variable).collect()
}

/// Values of settings by their lower-case names without prefix. `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// Reads the environment and the file `.env` in the repository's root; the environment takes precedence.
    ///
    /// # Errors
    /// When a line of the file or a value is invalid; the message names it and shows no value.
    pub fn load() -> Result<Self> {
        Self::from(std::env::vars_os(), &crate::workspace().join(".env"))
    }

    fn from(
        environment: impl Iterator<Item = (OsString, OsString)>,
        dotenv: &Path,
    ) -> Result<Self> {
        let mut settings = Self::default();
        if dotenv.exists() {
            let path = dotenv.display();
            let lines =
                dotenvy::from_path_iter(dotenv).map_err(|_| anyhow!("cannot read {path}"))?;
            let mut last = "its beginning".to_owned();
            for line in lines {
                // The error would show the line, which may hold a secret.
                let (key, value) = line.map_err(|_| {
                    anyhow!("{path}: the line after {last} is not NAME=value; values with blanks or # need quotes")
                })?;
                settings.insert(&key, value);
                last = key;
            }
        }
        for (key, value) in environment {
            if let Some(key) = key.to_str().filter(|key| key.starts_with(PREFIX)) {
                let value = value.into_string();
                settings.insert(key, value.map_err(|_| anyhow!("{key} is not UTF-8"))?);
            }
        }
        Ok(settings)
    }

    fn insert(&mut self, key: &str, value: String) {
        if let Some(name) = key.strip_prefix(PREFIX) {
            self.0.insert(name.to_ascii_lowercase(), value);
        }
    }

    /// Returns a value that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets each host that belongs to a URL (`database_host` to `database_url`), unless it is set.
    ///
    /// # Errors
    /// When a URL is invalid. The message names the setting and does not show it.
    pub fn derive_hosts(&mut self) -> Result<()> {
        let all = variables()?;
        for host in &all {
            if let Some(variable) = host.url_variable(&all)
                && self.get(&host.name).is_none()
                && let Some(url) = self.get(&variable.name)
            {
                let derived = match host.name.as_str() {
                    "redis_host" => redis_host(url),
                    "sentry_host" => sentry_host(url),
                    _ => database_host(url),
                };
                let name = variable.environment_name();
                self.set(
                    &host.name,
                    derived.with_context(|| format!("{name} is invalid"))?,
                );
            }
        }
        Ok(())
    }

    /// Returns all values, as [`runtime::Options`](crate::runtime::Options) needs them.
    #[must_use]
    pub fn into_variables(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// Returns host and port of a Postgres URL, as `allowed_outbound_hosts` needs them.
///
/// # Errors
/// When it is not `postgres://host…`; the message does not show the URL.
pub fn database_host(url: &str) -> Result<String> {
    host_and_port(url, &["postgres", "postgresql"], 5432)
}

/// Returns host and port of a Redis URL, as `allowed_outbound_hosts` needs them.
///
/// # Errors
/// When it is not `redis://host…` or `rediss://host…`; the message does not show the URL.
pub fn redis_host(url: &str) -> Result<String> {
    host_and_port(url, &["redis", "rediss"], 6379)
}

/// Returns scheme, host and port of a Sentry DSN, as `allowed_outbound_hosts` needs them.
///
/// # Errors
/// When it is not `https://key@host/project`; the message does not show it.
pub fn sentry_host(dsn: &str) -> Result<String> {
    let origin = Url::parse(dsn).map(|url| url.origin());
    let is_http = ["http://", "https://"]
        .iter()
        .any(|scheme| dsn.starts_with(scheme));
    match origin {
        Ok(origin) if is_http => Ok(origin.ascii_serialization()),
        _ => bail!("it must be https://key@host/project"),
    }
}

fn host_and_port(url: &str, schemes: &[&str], default_port: u16) -> Result<String> {
    let parsed = Url::parse(url).map_err(|_| {
        anyhow!("it must be {}://user:password@host:port/name, with special characters of the password percent-encoded", schemes[0])
    })?;
    if !schemes.contains(&parsed.scheme()) {
        bail!("it must begin with {}://", schemes.join(":// or "));
    }
    let host = parsed.host_str().unwrap_or_default();
    ensure!(!host.is_empty(), "it has no host");
    Ok(format!("{host}:{}", parsed.port().unwrap_or(default_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_host_and_port_from_urls() {
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
    fn refuses_invalid_urls_and_does_not_show_them() {
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
        for dsn in ["hunter2", "redis://hunter2@h/1"] {
            let error = sentry_host(dsn).unwrap_err().to_string();
            assert_eq!(error, "it must be https://key@host/project");
        }
        let error = redis_host("http://127.0.0.1").unwrap_err().to_string();
        assert_eq!(error, "it must begin with redis:// or rediss://");
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
    fn the_environment_takes_precedence_over_the_file() {
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
    fn names_the_place_of_an_invalid_line_and_does_not_show_it() {
        let error = load(
            &[],
            "SPIN_VARIABLE_LOG_LEVEL=warn\nSPIN_VARIABLE_GITHUB_TOKEN=hunter2 and more\n",
        );
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("SPIN_VARIABLE_LOG_LEVEL"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn derives_hosts_that_are_not_set() {
        let mut settings = load(
            &[
                ("SPIN_VARIABLE_DATABASE_URL", "postgres://a/b"),
                ("SPIN_VARIABLE_DATABASE_HOST", "*:5432"),
                ("SPIN_VARIABLE_REDIS_URL", "redis://r"),
                (
                    "SPIN_VARIABLE_SENTRY_DSN",
                    "https://key@errors.example:8443/1",
                ),
            ],
            "",
        )
        .unwrap();
        settings.derive_hosts().unwrap();
        assert_eq!(settings.get("database_host"), Some("*:5432"));
        assert_eq!(settings.get("redis_host"), Some("r:6379"));
        assert_eq!(
            settings.get("sentry_host"),
            Some("https://errors.example:8443")
        );
        assert_eq!(settings.get("github_models_host"), None);
    }

    #[test]
    fn names_the_setting_of_an_invalid_url() {
        let mut settings = load(&[("SPIN_VARIABLE_REDIS_URL", "http://hunter2")], "").unwrap();
        let error = format!("{:#}", settings.derive_hosts().unwrap_err());
        assert!(
            error.contains("SPIN_VARIABLE_REDIS_URL") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
