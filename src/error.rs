//! Every failure that the API returns. Failure statuses, codes and messages are defined here only.

use std::{borrow::Cow, collections::BTreeMap};

use http::{StatusCode, header};
use serde::Serialize;

use crate::response::{Response, json};

/// The `details` of a `validation_error`: field name → reasons why the field is invalid.
pub type Details = BTreeMap<&'static str, Vec<Cow<'static, str>>>;

/// A failure of a request. The causes that variants carry go to the log and never to the client.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// 400 `validation_error`, with the invalid fields.
    Validation(Details),
    /// 400 `user_exists`.
    UserExists,
    /// 401 `invalid_credentials`: unknown email or wrong password.
    InvalidCredentials,
    /// 401 `unauthorized`: no token.
    Unauthorized,
    /// 401 `token_expired`.
    TokenExpired,
    /// 401 `token_invalid`: forged, malformed, or of the other kind (access or refresh).
    TokenInvalid,
    /// 401 `token_revoked`: the token's session has ended.
    TokenRevoked,
    /// 403 `forbidden`.
    Forbidden,
    /// 404 `not_found`.
    NotFound,
    /// 405 `method_not_allowed`, with the value of `Allow`.
    MethodNotAllowed(String),
    /// 412 `precondition_failed`: the entry is not in the state that `If-Match` names.
    PreconditionFailed,
    /// 413 `payload_too_large`.
    PayloadTooLarge,
    /// 415 `unsupported_media_type`.
    UnsupportedMediaType,
    /// 422 `idempotency_key_reused`: the key was used before with another text.
    IdempotencyKeyReused,
    /// 429 `rate_limit_exceeded`, with the number of seconds until the next attempt may succeed.
    RateLimitExceeded(u64),
    /// 500 `internal_error`, with the cause for the log.
    Internal(String),
    /// 503 `service_unavailable`, with the cause for the log.
    Unavailable(String),
}

/// Seconds after which a client may retry a request that got 503.
const RETRY_AFTER_UNAVAILABLE: u64 = 5;

impl Error {
    /// Creates a `validation_error` for one field.
    pub fn invalid(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Validation(Details::from([(field, vec![reason.into()])]))
    }

    /// Creates a `service_unavailable` caused by an invalid setting. `reason`
    /// must not contain the value, which may be a secret.
    pub fn invalid_setting(variable: &str, reason: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("variable `{variable}` {reason}"))
    }

    /// Returns the cause for the log. `None` if the client is at fault.
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
                "The request is invalid.",
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
                "A bearer token is required.",
            ),
            Self::TokenExpired => (
                StatusCode::UNAUTHORIZED,
                "token_expired",
                "The token has expired.",
            ),
            Self::TokenInvalid => (
                StatusCode::UNAUTHORIZED,
                "token_invalid",
                "The token is invalid.",
            ),
            Self::TokenRevoked => (
                StatusCode::UNAUTHORIZED,
                "token_revoked",
                "This session has ended.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "This diary entry belongs to another user.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "Nothing exists at this address.",
            ),
            Self::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address does not support that method.",
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "The entry has changed. Read it again before changing it.",
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
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used before with another text. Use a new key.",
            ),
            Self::RateLimitExceeded(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                "Too many attempts. Try again later.",
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "The service failed unexpectedly.",
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "The service is temporarily unavailable. Try again shortly.",
            ),
        }
    }
}

/// The JSON body of every failure.
#[derive(Serialize)]
struct Body<'a> {
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
            &Body {
                error: code,
                message,
                details,
            },
        );
        let headers = response.headers_mut();
        match error {
            Error::MethodNotAllowed(allow) => {
                if let Ok(allow) = http::HeaderValue::try_from(allow) {
                    headers.insert(header::ALLOW, allow);
                }
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

/// Builds a 503 response with a body of its own instead of the usual one.
pub fn unavailable(body: &impl Serialize) -> Response {
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, body);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, RETRY_AFTER_UNAVAILABLE.into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: Error) -> serde_json::Value {
        serde_json::from_slice(Response::from(error).body()).expect("the body is JSON")
    }

    #[test]
    fn keeps_the_cause_out_of_the_response() {
        let error = Error::Unavailable("password=hunter2".into());
        assert_eq!(error.cause(), Some("password=hunter2"));
        assert!(!body(error).to_string().contains("hunter2"));
    }

    #[test]
    fn lists_invalid_fields_in_details() {
        let body = body(Error::invalid("email", "is required"));
        assert_eq!(body["error"], "validation_error");
        assert_eq!(body["details"]["email"][0], "is required");
    }

    #[test]
    fn adds_the_headers_of_each_status() {
        let header = |error: Error, name| Response::from(error).headers().get(name).cloned();
        assert_eq!(
            header(Error::TokenRevoked, "www-authenticate"),
            Some("Bearer".parse().expect("valid"))
        );
        assert_eq!(
            header(Error::MethodNotAllowed("GET, HEAD".into()), "allow"),
            Some("GET, HEAD".parse().expect("valid"))
        );
        assert_eq!(
            header(Error::RateLimitExceeded(7), "retry-after"),
            Some(7.into())
        );
        assert_eq!(
            header(Error::Unavailable(String::new()), "retry-after"),
            Some(5.into())
        );
    }
}
