//! Error replies: an HTTP error status, or an `error` object inside a successful reply.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::failure::Failure;

/// Returns the failure for a reply with an error status.
///
/// This is the status, unless the body says that a content filter rejected the text: servers report that with
/// statuses that otherwise mean a wrong setting.
pub fn from_status(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body.get("error").is_some_and(is_filtered) {
        return FILTERED;
    }
    Failure::Status {
        status,
        retry_after,
    }
}

/// Returns the failure for an `error` object inside a successful reply; its `code` may be the HTTP status of the error.
pub fn from_error_object(error: &Value) -> Failure {
    if is_filtered(error) {
        return FILTERED;
    }
    let code = error.get("code").and_then(Value::as_u64);
    let status = code
        .and_then(|code| u16::try_from(code).ok())
        .and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|status| status.is_client_error() || status.is_server_error());
    match status {
        Some(status) => Failure::Status {
            status,
            retry_after: None,
        },
        None => Failure::Unusable("is an error"),
    }
}

const FILTERED: Failure = Failure::Unusable("was replaced by a content filter");

/// Returns whether a content filter rejected the text. Microsoft sends 400 with this code, OpenRouter 403 with the
/// flagged input.
fn is_filtered(error: &Value) -> bool {
    let code = error.get("code").and_then(Value::as_str);
    let flagged = error.pointer("/metadata/flagged_input");
    code == Some("content_filter") || flagged.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(status: StatusCode) -> Failure {
        Failure::Status {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn a_content_filter_is_unusable_regardless_of_its_status() {
        for (code, error) in [
            (400, json!({"code": "content_filter", "param": "prompt"})),
            (
                403,
                json!({"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "…"}}),
            ),
        ] {
            let code = StatusCode::from_u16(code).expect("a status");
            let body = json!({"error": error}).to_string();
            assert_eq!(from_status(code, None, body.as_bytes()), FILTERED);
            assert_eq!(from_error_object(&error), FILTERED);
        }
    }

    #[test]
    fn other_errors_keep_their_status() {
        for body in [
            "",
            "<html>",
            "{}",
            "[1]",
            "{\"error\":\"unauthorized\"}",
            "{\"error\":{\"code\":401}}",
        ] {
            let failure = from_status(StatusCode::UNAUTHORIZED, None, body.as_bytes());
            assert_eq!(failure, status(StatusCode::UNAUTHORIZED), "{body}");
        }
    }

    #[test]
    fn an_error_object_in_a_successful_reply_has_its_own_status() {
        let too_many = from_error_object(&json!({"code": 429, "message": "Rate limit exceeded"}));
        assert_eq!(too_many, status(StatusCode::TOO_MANY_REQUESTS));
        for error in [
            json!({"code": 200}),
            json!({"code": "502"}),
            json!({"code": 70_000}),
            json!("no"),
            json!(null),
        ] {
            assert_eq!(
                from_error_object(&error),
                Failure::Unusable("is an error"),
                "{error}"
            );
        }
    }
}
