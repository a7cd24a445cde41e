//! Why a model gave no usable answer, and how long to leave it alone for that.

use std::{fmt, time::Duration};

use http::StatusCode;
use spin_sdk::wasip3::http::types::ErrorCode;
use thought_diary::log::Level;

/// How long a model is left alone that is not configured right: until somebody looks, another try changes nothing.
const MISCONFIGURED: Duration = Duration::from_secs(60);
/// A server's wish to be left alone is heard up to this long.
const LONGEST: Duration = Duration::from_secs(600);

/// Why there are no phrases. Its `Display` is for the log: it holds neither the text nor anything of the answer.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The model is being left alone after an earlier failure.
    Paused,
    /// The deadline passed.
    Timeout,
    /// No answer came; carries the kind of error.
    Unreachable(String),
    /// The manifest does not let us call that host.
    Denied,
    /// An error status, and how long the server wants to be left alone.
    Status {
        /// Of the answer.
        status: StatusCode,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer was too long or broke off.
    Unreadable,
    /// An answer that holds no phrases of the text; carries what is wrong with it.
    Nonsense(&'static str),
}

impl Failure {
    /// How long to leave the model alone; `None` when the next text may fare better.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Denied => Some(MISCONFIGURED),
            Self::Status { status, .. } if is_misconfigured(*status) => Some(MISCONFIGURED),
            Self::Status {
                status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE,
                retry_after,
            } => retry_after.map(|wish| wish.min(LONGEST)),
            _ => None,
        }
    }

    /// How much it matters in the log.
    pub fn level(&self) -> Level {
        match self {
            Self::Paused => Level::Debug,
            Self::Denied => Level::Error,
            Self::Status { status, .. } if is_misconfigured(*status) => Level::Error,
            _ => Level::Warn,
        }
    }
}

fn is_misconfigured(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE
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
            Self::Paused => f.write_str("the model is being left alone")?,
            Self::Timeout => f.write_str("the model did not answer within `github_timeout_ms`")?,
            Self::Unreachable(kind) => write!(f, "the model could not be reached ({kind})")?,
            Self::Denied => f.write_str("the model's host is not in `allowed_outbound_hosts`")?,
            Self::Status { status, .. } if is_misconfigured(*status) => write!(
                f,
                "the model answered {}: check `github_models_host`, `github_models_path`, `github_token`, `github_auth_style` and `github_model_name`",
                status.as_u16()
            )?,
            Self::Status { status, .. } => write!(f, "the model answered {}", status.as_u16())?,
            Self::Unreadable => f.write_str("the model's answer was too long or broke off")?,
            Self::Nonsense(what) => write!(f, "the model's answer {what}")?,
        }
        match self.pause() {
            Some(pause) => write!(
                f,
                "; the built-in lexicon takes over for {} s",
                pause.as_secs()
            ),
            None => f.write_str("; the built-in lexicon took over"),
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

    #[test]
    fn a_model_that_is_not_configured_right_is_left_alone() {
        for code in [401, 403, 404, 410] {
            assert_eq!(status(code, None).pause(), Some(MISCONFIGURED), "{code}");
            assert!(status(code, None).to_string().contains("`github_token`"));
        }
        assert_eq!(
            Failure::from(ErrorCode::HttpRequestDenied).pause(),
            Some(MISCONFIGURED)
        );
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        assert_eq!(status(429, Some(7)).pause(), Some(Duration::from_secs(7)));
        assert_eq!(status(503, Some(1 << 40)).pause(), Some(LONGEST));
        assert_eq!(status(429, None).pause(), None);
        assert_eq!(status(500, Some(7)).pause(), None);
    }

    #[test]
    fn the_log_gets_the_kind_and_no_details() {
        let failure = Failure::from(ErrorCode::InternalError(Some("10.0.0.7 said no".into())));
        assert_eq!(failure, Failure::Unreachable("InternalError".into()));
        assert!(!failure.to_string().contains("10.0.0.7"));
    }
}
