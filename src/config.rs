//! Settings: Spin variables, read once per instance and parsed into typed values.

use std::{fmt, sync::OnceLock, time::Duration};

use sha2::{Digest, Sha256};
use spin_sdk::variables;

use crate::{dsn::Dsn, error::Error, log};

/// A value that must not be shown. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares `guess` with the value in constant time.
    pub fn matches(&self, guess: &str) -> bool {
        // Digests of equal length are compared, so that the time shows neither
        // the length of the value nor how much of the guess is right.
        Sha256::digest(&self.0) == Sha256::digest(guess)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a variable and trims it.
///
/// # Errors
/// `service_unavailable` when the variable is not declared or its provider fails. The log names the variable.
pub async fn variable(name: &'static str) -> Result<String, Error> {
    match variables::get(name).await {
        Ok(value) => Ok(value.trim().to_owned()),
        Err(_) => Err(Error::invalid_setting(name, "could not be read")),
    }
}

/// Reads a variable and parses it. `expected` completes the sentence "variable `x` must be …".
///
/// # Errors
/// As [`variable`], and when `parse` returns `None`. The log does not show the value, which may be a secret.
pub async fn parsed<T>(
    name: &'static str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    parse(&variable(name).await?)
        .ok_or_else(|| Error::invalid_setting(name, format_args!("must be {expected}")))
}

/// Reads a number of milliseconds from 1 to 600,000.
///
/// # Errors
/// As [`parsed`].
pub async fn milliseconds(name: &'static str) -> Result<Duration, Error> {
    parsed(
        name,
        "a number of milliseconds from 1 to 600000",
        |value| match value.parse() {
            Ok(milliseconds @ 1..=600_000) => Some(Duration::from_millis(milliseconds)),
            _ => None,
        },
    )
    .await
}

/// Parses a duration such as `15m`: a whole number above zero, followed by `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    match count.parse::<u64>().ok()?.checked_mul(seconds)? {
        0 => None,
        seconds => Some(Duration::from_secs(seconds)),
    }
}

/// Returns the value in `cell`, calling `load` first if the cell is empty.
///
/// Settings cannot change during the life of an instance. A `load` that fails
/// is repeated by the next request.
///
/// # Errors
/// Those of `load`.
pub async fn once<T>(
    cell: &'static OnceLock<T>,
    load: impl Future<Output = Result<T, Error>>,
) -> Result<&'static T, Error> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = load.await?;
    Ok(cell.get_or_init(|| value))
}

/// The settings that every component has.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `cors_origins`: the exact origins whose pages may call the service.
    pub cors_origins: Vec<String>,
    /// `trusted_proxy_hops`: the number of reverse proxies that append to `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
    /// `slow_request_ms`: requests that take longer are logged as slow.
    pub slow_request: Duration,
    /// `redis_url`: where the instances add up their metrics.
    pub redis_url: Secret,
    /// `sentry_dsn`: where the causes of responses 500 and 503 are reported. `None` reports nothing.
    pub sentry: Option<Dsn>,
}

impl HttpConfig {
    /// Returns the settings of this instance.
    ///
    /// # Errors
    /// `service_unavailable` when a setting is invalid.
    pub async fn get() -> Result<&'static Self, Error> {
        static CONFIG: OnceLock<HttpConfig> = OnceLock::new();
        once(&CONFIG, Self::load()).await
    }

    /// Returns the most restrictive settings, for responses while a setting is invalid.
    pub fn restrictive() -> &'static Self {
        static RESTRICTIVE: HttpConfig = HttpConfig {
            cors_origins: Vec::new(),
            trusted_proxy_hops: 0,
            slow_request: Duration::from_secs(1),
            redis_url: Secret(String::new()),
            sentry: None,
        };
        &RESTRICTIVE
    }

    async fn load() -> Result<Self, Error> {
        let level = parsed(
            "log_level",
            "one of error, warn, info, debug",
            log::Level::parse,
        )
        .await?;
        log::set_threshold(level);
        Ok(Self {
            cors_origins: parsed(
                "cors_origins",
                "a comma-separated list of origins such as https://app.example",
                parse_origins,
            )
            .await?,
            trusted_proxy_hops: parsed("trusted_proxy_hops", "a number from 0 to 16", |value| {
                match value.parse() {
                    Ok(hops @ 0..=16) => Some(hops),
                    _ => None,
                }
            })
            .await?,
            slow_request: milliseconds("slow_request_ms").await?,
            redis_url: Secret::new(variable("redis_url").await?),
            sentry: parsed(
                "sentry_dsn",
                "empty or the DSN of a project, such as https://key@host/1",
                |value| match value {
                    "" => Some(None),
                    dsn => Dsn::parse(dsn).map(Some),
                },
            )
            .await?,
        })
    }
}

/// Parses exact origins: scheme, host and optional port. Wildcards are invalid because credentials are allowed.
fn parse_origins(value: &str) -> Option<Vec<String>> {
    value
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let origin = origin.trim_end_matches('/');
            let parsed = url::Url::parse(origin).ok()?;
            let exact = parsed.origin().ascii_serialization();
            (exact == origin && exact != "null").then_some(exact)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_secrets_in_debug_output() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter") && !secret.matches(""));
    }

    #[test]
    fn parses_durations() {
        for (text, seconds) in [("30s", 30), (" 15m", 900), ("1h", 3600), ("30d", 2_592_000)] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for bad in [
            "",
            "s",
            "0s",
            "-1s",
            "1.5h",
            "1y",
            "1é",
            "h1",
            "99999999999999999d",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn accepts_exact_origins_only() {
        assert_eq!(
            parse_origins(" http://localhost:5173 ,https://app.example/,"),
            Some(vec![
                "http://localhost:5173".into(),
                "https://app.example".into()
            ])
        );
        assert_eq!(parse_origins(""), Some(vec![]));
        for bad in [
            "*",
            "app.example",
            "https://app.example/path",
            "null",
            "file:///x",
        ] {
            assert_eq!(parse_origins(bad), None, "{bad}");
        }
    }
}
