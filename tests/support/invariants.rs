//! What holds for every response of the service.

use http::Method;
use serde_json::Value;

use super::marked_text::assert_safe_markup;
use super::response::Response;

/// The error codes of the contract and their statuses.
const ERRORS: [(&str, u16); 17] = [
    ("validation_error", 400),
    ("user_exists", 400),
    ("invalid_credentials", 401),
    ("unauthorized", 401),
    ("token_expired", 401),
    ("token_invalid", 401),
    ("token_revoked", 401),
    ("forbidden", 403),
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("precondition_failed", 412),
    ("payload_too_large", 413),
    ("unsupported_media_type", 415),
    ("idempotency_key_reused", 422),
    ("rate_limit_exceeded", 429),
    ("internal_error", 500),
    ("service_unavailable", 503),
];

/// Words that would reveal what the service is built on.
const INTERNAL_WORDS: [&str; 10] = [
    "postgres",
    "redis",
    "sql",
    "127.0.0.1",
    "panic",
    "wasm",
    "serde",
    "line ",
    "column ",
    "jwt",
];

/// The policy of `/docs`. Swagger UI needs inline styles and `data:` images.
const DOCS_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Fails if a response breaks a rule that holds for all of them.
///
/// An `internal_error` fails every test, because neither a client nor an outage may cause one.
#[track_caller]
pub fn assert_invariants(response: &Response, has_origin: bool) {
    let dump = response.dump();
    let header = |name| response.header(name);
    let id = header("x-request-id").unwrap_or_default();
    assert!((1..=128).contains(&id.len()), "X-Request-Id: {dump}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{dump}");
    assert_eq!(header("x-frame-options"), Some("DENY"), "{dump}");
    assert_eq!(header("referrer-policy"), Some("no-referrer"), "{dump}");
    assert_eq!(header("vary"), Some("Origin"), "{dump}");
    assert_length(response, &dump);
    assert_security_policy(response, &dump);
    if !has_origin {
        assert_no_cors_headers(response);
    }
    if response.status >= 400 {
        assert_error(response, &dump);
    }
    // The document describes `analyzed_content` in schemas and has no entries.
    if response.path != "/openapi.json"
        && let Ok(body) = serde_json::from_slice(&response.body)
    {
        assert_entries(&body);
    }
}

/// Fails if a response has any header that allows another origin to read it.
#[track_caller]
pub fn assert_no_cors_headers(response: &Response) {
    let is_cors = |name: &&http::HeaderName| name.as_str().starts_with("access-control-");
    let header = response.headers.keys().find(is_cors);
    assert_eq!(header, None, "{}", response.dump());
}

#[track_caller]
fn assert_length(response: &Response, dump: &str) {
    assert_eq!(response.header("transfer-encoding"), None, "{dump}");
    if [204, 304].contains(&response.status) {
        assert_eq!(response.header("content-length"), None, "{dump}");
        assert_eq!(response.header("content-type"), None, "{dump}");
        return;
    }
    let length = response.number("content-length");
    assert!(length > 0, "an empty body: {dump}");
    if response.method == Method::HEAD {
        assert!(response.body.is_empty(), "HEAD has no body: {dump}");
    } else {
        assert_eq!(usize::try_from(length), Ok(response.body.len()), "{dump}");
    }
}

#[track_caller]
fn assert_security_policy(response: &Response, dump: &str) {
    let path = response.path.split('?').next().unwrap_or_default();
    let is_docs_page = response.status == 200 && (path == "/docs" || path.starts_with("/docs/"));
    let is_static = is_docs_page || response.status == 200 && path == "/openapi.json";
    let expected = if is_docs_page {
        DOCS_SECURITY_POLICY
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    let policy = response.header("content-security-policy");
    assert_eq!(policy, Some(expected), "{dump}");
    if !is_static {
        assert_eq!(response.header("cache-control"), Some("no-store"), "{dump}");
    }
}

#[track_caller]
fn assert_error(response: &Response, dump: &str) {
    assert_ne!(response.status, 500, "{dump}");
    match response.status {
        401 => assert_eq!(
            response.header("www-authenticate"),
            Some("Bearer"),
            "{dump}"
        ),
        405 => assert_ne!(response.header("allow").unwrap_or_default(), "", "{dump}"),
        429 | 503 => assert!(response.number("retry-after") >= 1, "{dump}"),
        _ => {}
    }
    if response.method == Method::HEAD {
        return;
    }
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{dump}"
    );
    let body = response.json();
    // `GET /ready` answers 503 with its own body.
    if response.status == 503 && body["status"] == "unavailable" {
        return;
    }
    let code = body["error"].as_str().unwrap_or_default();
    assert!(ERRORS.contains(&(code, response.status)), "{dump}");
    let message = body["message"].as_str().unwrap_or_default();
    let is_sentence = message.ends_with('.') && message.contains(' ');
    assert!(is_sentence, "the message is not a sentence: {dump}");
    let has_details = body.get("details").is_some();
    assert_eq!(has_details, code == "validation_error", "{dump}");
    let text = body.to_string().to_lowercase();
    let internal = INTERNAL_WORDS.iter().find(|word| text.contains(**word));
    assert_eq!(internal, None, "{dump}");
}

/// Checks every entry in a body, at any depth.
#[track_caller]
fn assert_entries(body: &Value) {
    match body {
        Value::Object(fields) if fields.contains_key("analyzed_content") => {
            assert_safe_markup(body);
        }
        Value::Object(fields) => fields.values().for_each(assert_entries),
        Value::Array(values) => values.iter().for_each(assert_entries),
        _ => {}
    }
}
