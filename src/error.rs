//! Every failure the service answers with: the only place that knows failure statuses, codes and messages.

use std::{borrow::Cow, collections::BTreeMap};

use http::{StatusCode, header};
use serde::Serialize;

use crate::http::{Response, json};

/// Field name → what is wrong with it, as `details` of a `validation_error`.
pub type Details = BTreeMap<&'static str, Vec<Cow<'static, str>>>;

/// A failure, as the contract names it. What a variant carries for the log is never sent to the client.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// 400 `validation_error`: the fields at fault and why.
    Validation(Details),
    /// 400 `user_exists`.
    UserExists,
    /// 401 `invalid_credentials`: unknown email or wrong password.
    InvalidCredentials,
    /// 401 `unauthorized`: no token.
    Unauthorized,
    /// 401 `token_expired`.
    TokenExpired,
    /// 401 `token_invalid`: forged, malformed, or of the other kind.
    TokenInvalid,
    /// 401 `token_revoked`: its login has ended.
    TokenRevoked,
    /// 403 `forbidden`.
    Forbidden,
    /// 404 `not_found`.
    NotFound,
    /// 405 `method_not_allowed`; carries the value of `Allow`.
    MethodNotAllowed(&'static str),
    /// 413 `payload_too_large`.
    PayloadTooLarge,
    /// 415 `unsupported_media_type`.
    UnsupportedMediaType,
    /// 429 `rate_limit_exceeded`; carries the seconds until a try may succeed.
    RateLimitExceeded(u64),
    /// 500 `internal_error`; carries the cause, for the log.
    Internal(String),
    /// 503 `service_unavailable`; carries the cause, for the log.
    Unavailable(String),
}

/// Seconds after which a client may try again when a part of the service is away.
const RETRY_AFTER_UNAVAILABLE: u64 = 5;

impl Error {
    /// A `validation_error` for one field.
    pub fn invalid(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Validation(Details::from([(field, vec![reason.into()])]))
    }

    /// A setting that makes no sense. `why` must not repeat the value: it may be a secret.
    pub fn misconfigured(variable: &str, why: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("variable `{variable}` {why}"))
    }

    /// What the log should say about this failure; `None` where the client is at fault.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }

    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Validation(_) => (
                StatusCode::BAD_REQUEST,
                "validation_error",
                "The request is not valid.",
            ),
            Self::UserExists => (
                StatusCode::BAD_REQUEST,
                "user_exists",
                "An account with this email already exists.",
            ),
            Self::InvalidCredentials => (
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "Email or password is wrong.",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A bearer token is needed.",
            ),
            Self::TokenExpired => (
                StatusCode::UNAUTHORIZED,
                "token_expired",
                "The token has expired.",
            ),
            Self::TokenInvalid => (
                StatusCode::UNAUTHORIZED,
                "token_invalid",
                "The token is not valid.",
            ),
            Self::TokenRevoked => (
                StatusCode::UNAUTHORIZED,
                "token_revoked",
                "This login has ended.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "This diary entry belongs to somebody else.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is nothing at this address.",
            ),
            Self::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address does not take that method.",
            ),
            Self::PayloadTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                "The request body is larger than 64 KiB.",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The request body must be application/json.",
            ),
            Self::RateLimitExceeded(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                "Too many attempts; please try again later.",
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Something went wrong on our side.",
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "The service is not available right now; please try again shortly.",
            ),
        }
    }
}

/// The envelope of every failure.
#[derive(Serialize)]
struct Envelope<'a> {
    error: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let (status, code, message) = error.parts();
        let details = match &error {
            Error::Validation(details) => Some(details),
            _ => None,
        };
        let mut response = json(
            status,
            &Envelope {
                error: code,
                message,
                details,
            },
        );
        let headers = response.headers_mut();
        match error {
            Error::MethodNotAllowed(allow) => {
                headers.insert(header::ALLOW, http::HeaderValue::from_static(allow));
            }
            Error::RateLimitExceeded(seconds) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Error::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_UNAVAILABLE.into());
            }
            _ if status == StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    http::HeaderValue::from_static("Bearer"),
                );
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: Error) -> serde_json::Value {
        serde_json::from_slice(Response::from(error).body()).expect("the envelope is JSON")
    }

    #[test]
    fn a_cause_is_for_the_log_and_never_in_the_answer() {
        let error = Error::Unavailable("password=hunter2".into());
        assert_eq!(error.cause(), Some("password=hunter2"));
        assert!(!body(error).to_string().contains("hunter2"));
    }

    #[test]
    fn validation_names_each_field() {
        let body = body(Error::invalid("email", "is required"));
        assert_eq!(body["error"], "validation_error");
        assert_eq!(body["details"]["email"][0], "is required");
    }

    #[test]
    fn answers_carry_the_headers_their_status_asks_for() {
        let header = |error: Error, name| Response::from(error).headers().get(name).cloned();
        assert_eq!(
            header(Error::TokenRevoked, "www-authenticate"),
            Some("Bearer".parse().expect("valid"))
        );
        assert_eq!(
            header(Error::MethodNotAllowed("GET, HEAD"), "allow"),
            Some("GET, HEAD".parse().expect("valid"))
        );
        assert_eq!(
            header(Error::RateLimitExceeded(7), "retry-after"),
            Some(7.into())
        );
        assert!(header(Error::Unavailable(String::new()), "retry-after").is_some());
    }
}
