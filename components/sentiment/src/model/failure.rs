//! Failures of a call to the model, and their consequences for the circuit, the entry and the log.

use std::{fmt, time::Duration};

use http::StatusCode;
use spin_sdk::wasip3::http::types::ErrorCode;
use thought_diary::{analysis::Fallback, log::Level};

use super::circuit::Outcome;

/// Pause after an error that only a change of the settings can fix. A corrected server is used again within a minute.
const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(60);
/// Longest `Retry-After` that is honored.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Reason why a call returned no phrases. Its `Display` is for the log and contains neither the text nor the reply.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// No complete reply within the timeout.
    Timeout,
    /// No connection or no reply; holds the kind of error.
    Unreachable(String),
    /// `allowed_outbound_hosts` in the manifest does not contain the model's host.
    Denied,
    /// The reply ended early.
    Incomplete,
    /// The reply has an error status.
    Status {
        /// The status.
        status: StatusCode,
        /// The pause that the server asks for in `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The reply contains no phrases of the text; holds the rest of the sentence "the model's reply …".
    Unusable(&'static str),
}

impl Failure {
    /// Returns the outcome, for the circuit breaker, of a call that ended with this failure or with none.
    pub fn outcome(failure: Option<&Self>) -> Outcome {
        match failure {
            None | Some(Self::Unusable(_)) => Outcome::Success,
            Some(Self::Denied) => Outcome::Pause(MISCONFIGURED_PAUSE),
            Some(Self::Timeout | Self::Unreachable(_) | Self::Incomplete) => Outcome::Failure,
            Some(Self::Status {
                status,
                retry_after,
            }) => match (*status, retry_after) {
                (status, _) if is_misconfigured(status) => Outcome::Pause(MISCONFIGURED_PAUSE),
                (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(pause))
                    if !pause.is_zero() =>
                {
                    Outcome::Pause((*pause).min(LONGEST_RETRY_AFTER))
                }
                (status, _) if is_about_the_text(status) => Outcome::Success,
                _ => Outcome::Failure,
            },
        }
    }

    /// Returns the fallback reason to report for the text.
    pub fn fallback(&self) -> Fallback {
        match self {
            Self::Unusable(_) => Fallback::Unusable,
            Self::Status { status, .. } if is_about_the_text(*status) => Fallback::Unusable,
            _ => Fallback::Unavailable,
        }
    }

    /// Returns the log level of the failure if it opens the circuit: an error if somebody has to change a setting.
    pub fn level(&self) -> Level {
        match self {
            Self::Denied => Level::Error,
            Self::Status { status, .. } if is_misconfigured(*status) => Level::Error,
            _ => Level::Warn,
        }
    }
}

/// Returns whether only a change of the settings can fix this error.
///
/// Redirects count too. They are not followed, because the token must go to the configured address only.
fn is_misconfigured(status: StatusCode) -> bool {
    status.is_redirection() || matches!(status.as_u16(), 401..=405 | 407 | 410)
}

/// Returns whether the server rejected this text and may accept others.
fn is_about_the_text(status: StatusCode) -> bool {
    status.is_client_error()
        && !is_misconfigured(status)
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

impl From<ErrorCode> for Failure {
    fn from(error: ErrorCode) -> Self {
        match error {
            ErrorCode::HttpRequestDenied => Self::Denied,
            ErrorCode::ConnectionTimeout | ErrorCode::HttpResponseTimeout => Self::Timeout,
            // The log gets the kind only: the details may contain addresses of the host.
            other => {
                let debug = format!("{other:?}");
                let kind = debug.trim_start_matches("ErrorCode::");
                Self::Unreachable(
                    kind.chars()
                        .take_while(|letter| letter.is_alphanumeric())
                        .collect(),
                )
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the model did not reply within `github_timeout_ms`"),
            Self::Unreachable(kind) => write!(f, "the model is unreachable ({kind})"),
            Self::Denied => f.write_str("the model's host is not in `allowed_outbound_hosts`"),
            Self::Incomplete => f.write_str("the model's reply is incomplete"),
            Self::Status { status, .. } if is_misconfigured(*status) => write!(
                f,
                "the model replied with status {}: check `github_models_host`, `github_models_path`, `github_token`, `github_auth_style` and `github_model_name`",
                status.as_u16()
            ),
            Self::Status { status, .. } => {
                write!(f, "the model replied with status {}", status.as_u16())
            }
            Self::Unusable(what) => write!(f, "the model's reply {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> Failure {
        let status = StatusCode::from_u16(status).expect("a status");
        Failure::Status {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn outcome(failure: Failure) -> Outcome {
        Failure::outcome(Some(&failure))
    }

    #[test]
    fn a_misconfigured_model_gets_a_pause_and_an_error_in_the_log() {
        for code in [301, 302, 307, 401, 402, 403, 404, 405, 407, 410] {
            let failure = status(code, None);
            assert!(failure.to_string().contains("`github_token`"));
            assert_eq!(
                (failure.level(), failure.fallback()),
                (Level::Error, Fallback::Unavailable),
                "{code}"
            );
            assert_eq!(
                outcome(failure),
                Outcome::Pause(MISCONFIGURED_PAUSE),
                "{code}"
            );
        }
        let denied = Failure::from(ErrorCode::HttpRequestDenied);
        assert_eq!(denied.level(), Level::Error);
        assert_eq!(outcome(denied), Outcome::Pause(MISCONFIGURED_PAUSE));
    }

    #[test]
    fn honors_retry_after_up_to_a_day() {
        let pause = |seconds| Outcome::Pause(Duration::from_secs(seconds));
        assert_eq!(outcome(status(429, Some(7))), pause(7));
        assert_eq!(outcome(status(503, Some(7))), pause(7));
        assert_eq!(
            outcome(status(503, Some(1 << 40))),
            Outcome::Pause(LONGEST_RETRY_AFTER)
        );
        assert_eq!(outcome(status(429, Some(0))), Outcome::Failure);
        assert_eq!(outcome(status(429, None)), Outcome::Failure);
        assert_eq!(outcome(status(500, Some(7))), Outcome::Failure);
    }

    #[test]
    fn distinguishes_a_failing_server_from_a_rejected_text() {
        for failure in [
            Failure::Timeout,
            Failure::Incomplete,
            Failure::Unreachable("ConnectionRefused".into()),
            status(408, None),
            status(429, None),
            status(500, None),
            status(529, None),
        ] {
            assert_eq!(failure.fallback(), Fallback::Unavailable, "{failure}");
            assert_eq!(outcome(failure), Outcome::Failure);
        }
        for failure in [
            Failure::Unusable("is a refusal"),
            status(400, None),
            status(413, None),
            status(422, None),
            status(451, None),
        ] {
            assert_eq!(failure.fallback(), Fallback::Unusable, "{failure}");
            assert_eq!(outcome(failure), Outcome::Success);
        }
        assert_eq!(Failure::outcome(None), Outcome::Success);
    }

    #[test]
    fn the_log_shows_the_kind_of_error_without_details() {
        let failure = Failure::from(ErrorCode::InternalError(Some("10.0.0.7 said no".into())));
        assert_eq!(failure, Failure::Unreachable("InternalError".into()));
        assert!(!failure.to_string().contains("10.0.0.7"));
    }
}
