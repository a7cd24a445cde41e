//! Rate limits: their settings, and how responses report them. Each component counts in its own way.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderName;

use crate::{
    config::{parse_duration, parsed},
    error::Error,
    http::Context,
};

/// Maximum length of a window, in seconds.
const MAX_WINDOW: u64 = 31 * 86_400;

/// A number of attempts per window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Attempts that a window allows.
    pub attempts: u64,
    /// Length of a window.
    pub seconds: u64,
}

impl Limit {
    /// Reads a setting such as `5/15m`. `None` if it is `off`.
    ///
    /// # Errors
    /// `service_unavailable` when the setting is invalid.
    pub async fn from_variable(name: &'static str) -> Result<Option<Self>, Error> {
        parsed(
            name,
            "a number of attempts and a duration, such as 5/15m, or off",
            |value| match value {
                "off" => Some(None),
                limit => Self::parse(limit).map(Some),
            },
        )
        .await
    }

    /// Parses `5/15m`: a number of attempts, and the length of the window.
    fn parse(text: &str) -> Option<Self> {
        let (attempts, window) = text.split_once('/')?;
        let limit = Self {
            // Postgres and Redis count with signed integers.
            attempts: attempts.trim().parse::<u32>().ok()?.into(),
            seconds: parse_duration(window)?.as_secs(),
        };
        (limit.attempts > 0 && limit.seconds <= MAX_WINDOW).then_some(limit)
    }
}

/// The attempts in a current window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// Attempts, including the one of this request.
    pub attempts: u64,
    /// Seconds until the window ends, at least 1.
    pub seconds_left: u64,
}

impl Count {
    /// Sets the response's `X-RateLimit-*` headers.
    ///
    /// # Errors
    /// `rate_limit_exceeded` when there are more attempts than `allowed`.
    pub fn check(self, allowed: u64, context: &Context) -> Result<(), Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        for (name, value) in [
            ("x-ratelimit-limit", allowed),
            (
                "x-ratelimit-remaining",
                allowed.saturating_sub(self.attempts),
            ),
            ("x-ratelimit-reset", now + self.seconds_left),
        ] {
            context.set_header(HeaderName::from_static(name), value);
        }
        match self.attempts > allowed {
            true => Err(Error::RateLimitExceeded(self.seconds_left)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_attempts_and_window() {
        let limit = |attempts, seconds| Some(Limit { attempts, seconds });
        assert_eq!(Limit::parse("3/1h"), limit(3, 3600));
        assert_eq!(Limit::parse("5 / 15m"), limit(5, 900));
        assert_eq!(Limit::parse("1/30s"), limit(1, 30));
        for bad in [
            "",
            "3",
            "3/",
            "3/h",
            "0/1h",
            "-1/1h",
            "4294967296/1h",
            "3/0s",
            "3/1y",
            "3/99999999999d",
            "3/1é",
        ] {
            assert_eq!(Limit::parse(bad), None, "{bad}");
        }
    }
}
