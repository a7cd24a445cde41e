//! Why a model gave no usable answer, and what that says about its server.

use std::{fmt, time::Duration};

use http::StatusCode;
use spin_sdk::wasip3::http::types::ErrorCode;
use thought_diary::log::Level;

use thought_diary::analysis::Fallback;

use crate::circuit::Outcome;

/// How long a model is left alone that is not configured right: until somebody looks, another try changes nothing.
const MISCONFIGURED: Duration = Duration::from_secs(60);
/// A server's wish to be left alone is heard up to this long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why there are no phrases. Its `Display` is for the log: it holds neither the text nor anything of the answer.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The deadline passed.
    Timeout,
    /// No answer came; carries the kind of error.
    Unreachable(String),
    /// The manifest does not let us call that host.
    Denied,
    /// The answer broke off.
    BrokeOff,
    /// An error status, and how long the server wants to be left alone.
    Status {
        /// Of the answer.
        status: StatusCode,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// An answer that holds no phrases of the text; carries what is wrong with it.
    Unusable(&'static str),
}

impl Failure {
    /// What a call that ended with this failure, or with none, says about the server.
    pub fn outcome(failure: Option<&Self>) -> Outcome {
        match failure {
            None | Some(Self::Unusable(_)) => Outcome::Answered,
            Some(Self::Denied) => Outcome::Paused(MISCONFIGURED),
            Some(Self::Timeout | Self::Unreachable(_) | Self::BrokeOff) => Outcome::Failed,
            Some(Self::Status {
                status,
                retry_after,
            }) => match (*status, retry_after) {
                (status, _) if is_misconfigured(status) => Outcome::Paused(MISCONFIGURED),
                (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(wish))
                    if !wish.is_zero() =>
                {
                    Outcome::Paused((*wish).min(LONGEST))
                }
                (status, _) if is_about_the_text(status) => Outcome::Answered,
                _ => Outcome::Failed,
            },
        }
    }

    /// What it means for the text.
    pub fn fallback(&self) -> Fallback {
        match self {
            Self::Unusable(_) => Fallback::Unusable,
            Self::Status { status, .. } if is_about_the_text(*status) => Fallback::Unusable,
            _ => Fallback::Unavailable,
        }
    }

    /// How much it matters in the log that the model is left alone for it.
    pub fn level(&self) -> Level {
        match self {
            Self::Denied => Level::Error,
            Self::Status { status, .. } if is_misconfigured(*status) => Level::Error,
            _ => Level::Warn,
        }
    }
}

/// Redirects too: they are not followed, as the token is meant for the configured address only.
fn is_misconfigured(status: StatusCode) -> bool {
    status.is_redirection() || matches!(status.as_u16(), 401..=405 | 407 | 410)
}

/// Whether another text may fare better.
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
            // Only the kind: what it carries may be host details.
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
            Self::Timeout => f.write_str("the model did not answer within `github_timeout_ms`"),
            Self::Unreachable(kind) => write!(f, "the model could not be reached ({kind})"),
            Self::Denied => f.write_str("the model's host is not in `allowed_outbound_hosts`"),
            Self::BrokeOff => f.write_str("the model's answer broke off"),
            Self::Status { status, .. } if is_misconfigured(*status) => write!(
                f,
                "the model answered {}: check `github_models_host`, `github_models_path`, `github_token`, `github_auth_style` and `github_model_name`",
                status.as_u16()
            ),
            Self::Status { status, .. } => write!(f, "the model answered {}", status.as_u16()),
            Self::Unusable(what) => write!(f, "the model's answer {what}"),
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
    fn a_model_that_is_not_configured_right_is_left_alone() {
        for code in [301, 302, 307, 401, 402, 403, 404, 405, 407, 410] {
            let failure = status(code, None);
            assert!(failure.to_string().contains("`github_token`"));
            assert_eq!(
                (failure.level(), failure.fallback()),
                (Level::Error, Fallback::Unavailable),
                "{code}"
            );
            assert_eq!(outcome(failure), Outcome::Paused(MISCONFIGURED), "{code}");
        }
        let denied = Failure::from(ErrorCode::HttpRequestDenied);
        assert_eq!(denied.level(), Level::Error);
        assert_eq!(outcome(denied), Outcome::Paused(MISCONFIGURED));
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let paused = |seconds| Outcome::Paused(Duration::from_secs(seconds));
        assert_eq!(outcome(status(429, Some(7))), paused(7));
        assert_eq!(outcome(status(503, Some(7))), paused(7));
        assert_eq!(
            outcome(status(503, Some(1 << 40))),
            Outcome::Paused(LONGEST)
        );
        assert_eq!(outcome(status(429, Some(0))), Outcome::Failed);
        assert_eq!(outcome(status(429, None)), Outcome::Failed);
        assert_eq!(outcome(status(500, Some(7))), Outcome::Failed);
    }

    #[test]
    fn a_server_that_is_ill_is_told_from_a_text_it_does_not_take() {
        for failure in [
            Failure::Timeout,
            Failure::BrokeOff,
            Failure::Unreachable("ConnectionRefused".into()),
            status(408, None),
            status(429, None),
            status(500, None),
            status(529, None),
        ] {
            assert_eq!(failure.fallback(), Fallback::Unavailable, "{failure}");
            assert_eq!(outcome(failure), Outcome::Failed);
        }
        for failure in [
            Failure::Unusable("is a refusal"),
            status(400, None),
            status(413, None),
            status(422, None),
            status(451, None),
        ] {
            assert_eq!(failure.fallback(), Fallback::Unusable, "{failure}");
            assert_eq!(outcome(failure), Outcome::Answered);
        }
        assert_eq!(Failure::outcome(None), Outcome::Answered);
    }

    #[test]
    fn the_log_gets_the_kind_and_no_details() {
        let failure = Failure::from(ErrorCode::InternalError(Some("10.0.0.7 said no".into())));
        assert_eq!(failure, Failure::Unreachable("InternalError".into()));
        assert!(!failure.to_string().contains("10.0.0.7"));
    }
}
