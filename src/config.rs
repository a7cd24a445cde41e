//! Settings: Spin variables, read once per instance and parsed into what they mean.

use std::{fmt, sync::OnceLock, time::Duration};

use sha2::{Digest, Sha256};
use spin_sdk::variables;

use crate::{Error, log};

/// A value that must not be shown: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `guess` is the value. The time that takes tells nothing about the value.
    pub fn is(&self, guess: &str) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(guess)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a variable, without surrounding blanks.
///
/// # Errors
/// `service_unavailable`, naming the variable in the log, when it is not declared or its provider fails.
pub async fn variable(name: &'static str) -> Result<String, Error> {
    match variables::get(name).await {
        Ok(value) => Ok(value.trim().to_owned()),
        Err(_) => Err(Error::misconfigured(name, "could not be read")),
    }
}

/// Reads a variable and parses it; `expected` completes the sentence "variable `x` must be …".
///
/// # Errors
/// As [`variable`], and when `parse` gives `None`. The value is not repeated: it may be a secret.
pub async fn parsed<T>(
    name: &'static str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    parse(&variable(name).await?)
        .ok_or_else(|| Error::misconfigured(name, format_args!("must be {expected}")))
}

/// Reads a number of milliseconds above zero.
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

/// Reads `15m`: a whole number above zero, and `s`, `m`, `h` or `d`. `None` for anything else.
pub fn duration(text: &str) -> Option<Duration> {
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

/// Keeps what `load` gives for the life of the instance. Settings cannot
/// change while it lives; what failed to load is tried again by the next request.
///
/// # Errors
/// Those of `load`.
pub async fn once<T>(
    cell: &'static OnceLock<T>,
    load: impl Future<Output = Result<T, Error>>,
) -> Result<&'static T, Error> {
    if let Some(kept) = cell.get() {
        return Ok(kept);
    }
    let loaded = load.await?;
    Ok(cell.get_or_init(|| loaded))
}

/// What every component is configured with.
#[derive(Clone, Debug)]
pub struct Common {
    /// `cors_origins`: the exact origins whose pages may call the service.
    pub cors_origins: Vec<String>,
    /// `trusted_proxy_hops`: how many proxies in front of the service append to `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
}

impl Common {
    /// The settings of this instance.
    ///
    /// # Errors
    /// `service_unavailable` when one makes no sense.
    pub async fn get() -> Result<&'static Self, Error> {
        static COMMON: OnceLock<Common> = OnceLock::new();
        if let Some(kept) = COMMON.get() {
            return Ok(kept);
        }
        once(&COMMON, Self::load()).await
    }

    /// Settings that trust nobody, for answering when the real ones make no sense.
    pub fn bare() -> &'static Self {
        static BARE: Common = Common {
            cors_origins: Vec::new(),
            trusted_proxy_hops: 0,
        };
        &BARE
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
        })
    }
}

/// Exact origins only: a scheme, a host, perhaps a port, and nothing more. No wildcard, as credentials are allowed.
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
    fn secrets_do_not_show() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(secret.is("hunter2") && !secret.is("hunter") && !secret.is(""));
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, seconds) in [("30s", 30), (" 15m", 900), ("1h", 3600), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
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
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_are_exact() {
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
