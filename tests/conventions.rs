//! What every answer must carry, whatever was asked.

use serde_json::Value;

use crate::client::Answer;
use crate::html;

/// The failures of the contract, with their statuses.
const CODES: [(&str, u16); 15] = [
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
    ("payload_too_large", 413),
    ("unsupported_media_type", 415),
    ("rate_limit_exceeded", 429),
    ("internal_error", 500),
    ("service_unavailable", 503),
];

/// Words that would give away what stands behind the service.
const INTERNALS: [&str; 10] = [
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

/// Fails when an answer lacks what every answer has.
///
/// An `internal_error` is a defect in any test: nothing that a client or a fault does may cause one.
#[track_caller]
pub fn check(answer: &Answer, with_origin: bool) {
    let shown = answer.shown();
    let header = |name| answer.header(name);
    let id = header("x-request-id").unwrap_or_default();
    assert!((1..=128).contains(&id.len()), "no X-Request-Id: {shown}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{shown}");
    assert_eq!(header("x-frame-options"), Some("DENY"), "{shown}");
    assert_eq!(header("referrer-policy"), Some("no-referrer"), "{shown}");
    check_length(answer, &shown);
    check_policy(answer, &shown);
    assert!(
        header("vary").is_some_and(|vary| vary.eq_ignore_ascii_case("origin")),
        "no Vary: {shown}"
    );
    if !with_origin {
        let cors = answer
            .headers
            .keys()
            .find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors, None, "CORS without an origin: {shown}");
    }
    if answer.status >= 400 {
        check_failure(answer, &shown);
    }
    // What the document has about diaries are schemas.
    if answer.path != "/openapi.json"
        && let Ok(body) = serde_json::from_slice(&answer.body)
    {
        check_diaries(&body);
    }
}

fn check_length(answer: &Answer, shown: &str) {
    assert!(
        answer.header("transfer-encoding").is_none(),
        "chunked: {shown}"
    );
    if answer.status == 204 {
        assert_eq!(answer.header("content-length"), None, "{shown}");
        assert_eq!(answer.header("content-type"), None, "{shown}");
        return;
    }
    let length =
        usize::try_from(answer.number("content-length")).expect("a length is not negative");
    if answer.method == http::Method::HEAD {
        assert!(answer.body.is_empty(), "HEAD has no body: {shown}");
        assert!(length > 0, "HEAD tells the length of GET: {shown}");
    } else {
        assert_eq!(length, answer.body.len(), "{shown}");
        assert!(length > 0, "an empty body: {shown}");
    }
}

fn check_policy(answer: &Answer, shown: &str) {
    let path = answer.path.split('?').next().unwrap_or_default();
    let page = answer.status == 200 && (path == "/docs" || path.starts_with("/docs/"));
    let fixed = page || answer.status == 200 && path == "/openapi.json";
    let policy = answer.header("content-security-policy").unwrap_or_default();
    if page {
        let scripts = policy
            .split(';')
            .find(|part| part.trim().starts_with("script-src"));
        assert_eq!(scripts.map(str::trim), Some("script-src 'self'"), "{shown}");
        assert!(policy.contains("default-src 'none'"), "{shown}");
        assert!(policy.contains("frame-ancestors 'none'"), "{shown}");
    } else {
        assert_eq!(
            policy, "default-src 'none'; frame-ancestors 'none'",
            "{shown}"
        );
    }
    if !fixed {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{shown}");
    }
}

fn check_failure(answer: &Answer, shown: &str) {
    assert_ne!(answer.status, 500, "a defect: {shown}");
    match answer.status {
        401 => assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{shown}"),
        405 => assert!(
            answer
                .header("allow")
                .is_some_and(|allow| !allow.is_empty()),
            "{shown}"
        ),
        429 | 503 => assert!(answer.number("retry-after") >= 1, "{shown}"),
        _ => {}
    }
    if answer.method == http::Method::HEAD {
        return;
    }
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{shown}"
    );
    let body = answer.json();
    if answer.status == 503 && body["status"] == "unavailable" {
        return;
    }
    let code = body["error"].as_str().unwrap_or_default();
    assert!(
        CODES.contains(&(code, answer.status)),
        "code and status do not fit: {shown}"
    );
    let message = body["message"].as_str().unwrap_or_default();
    assert!(
        message.ends_with('.') && message.contains(' '),
        "not a sentence: {shown}"
    );
    assert_eq!(
        code == "validation_error",
        body.get("details").is_some(),
        "{shown}"
    );
    let text = body.to_string().to_lowercase();
    let leak = INTERNALS.iter().find(|word| text.contains(**word));
    assert_eq!(leak, None, "something internal: {shown}");
}

/// Looks at every diary in a body, however deep.
fn check_diaries(body: &Value) {
    match body {
        Value::Object(fields) if fields.contains_key("analyzed_content") => html::check_diary(body),
        Value::Object(fields) => fields.values().for_each(check_diaries),
        Value::Array(items) => items.iter().for_each(check_diaries),
        _ => {}
    }
}
