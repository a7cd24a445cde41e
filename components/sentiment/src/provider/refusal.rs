//! Reads what a server says about why it refused, which may be anything.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::Failure;

/// What an error answer comes to: most often its status, but some servers say
/// with one that otherwise means a wrong setting that they do not like the text.
pub fn failure(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body.get("error").is_some_and(is_filtered) {
        return FILTERED;
    }
    Failure::Status {
        status,
        retry_after,
    }
}

/// What an `error` within a successful answer comes to: it may carry the status that the answer should have had.
pub fn within_success(error: &Value) -> Failure {
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

const FILTERED: Failure = Failure::Unusable("is that of a content filter");

/// Microsoft's filter answers with 400 and this code, OpenRouter's moderation with 403 and what it flagged.
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
    fn a_filter_is_about_the_text_whatever_its_status() {
        for (code, error) in [
            (400, json!({"code": "content_filter", "param": "prompt"})),
            (
                403,
                json!({"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "…"}}),
            ),
        ] {
            let code = StatusCode::from_u16(code).expect("a status");
            let body = json!({"error": error}).to_string();
            assert_eq!(failure(code, None, body.as_bytes()), FILTERED);
            assert_eq!(within_success(&error), FILTERED);
        }
    }

    #[test]
    fn other_errors_are_their_status() {
        for body in [
            "",
            "<html>",
            "{}",
            "[1]",
            "{\"error\":\"unauthorized\"}",
            "{\"error\":{\"code\":401}}",
        ] {
            let failure = failure(StatusCode::UNAUTHORIZED, None, body.as_bytes());
            assert_eq!(failure, status(StatusCode::UNAUTHORIZED), "{body}");
        }
    }

    #[test]
    fn an_error_within_a_success_has_its_own_status() {
        let too_many = within_success(&json!({"code": 429, "message": "Rate limit exceeded"}));
        assert_eq!(too_many, status(StatusCode::TOO_MANY_REQUESTS));
        for error in [
            json!({"code": 200}),
            json!({"code": "502"}),
            json!({"code": 70_000}),
            json!("no"),
            json!(null),
        ] {
            assert_eq!(
                within_success(&error),
                Failure::Unusable("is an error"),
                "{error}"
            );
        }
    }
}
