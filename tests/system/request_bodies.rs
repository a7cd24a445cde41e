//! Invalid request bodies: each gets the contract's error.

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::request::Request;
use crate::support::response::Response;
use crate::support::unique::{unique_address, unique_email, unique_word};

type Route = (Method, &'static str);

/// The routes that read a body, with the fields they require.
const ROUTES: [(Route, &[&str]); 4] = [
    ((Method::POST, "/auth/register"), &["email", "password"]),
    ((Method::POST, "/auth/login"), &["email", "password"]),
    ((Method::POST, "/diaries"), &["content"]),
    ((Method::PUT, "/diaries/1"), &["content"]),
];

const VALID: &str = "{\"content\": \"A text that is long enough.\"}";

/// Starts a request from a new address, because rate limits are no concern of these tests.
fn request(client: &Client, (method, path): Route) -> Request {
    client.request(method, path).from(&unique_address())
}

async fn send(client: &Client, route: Route, body: impl Into<bytes::Bytes>) -> Response {
    let request = request(client, route);
    request.body("application/json", body).send().await
}

async fn create(client: &Client, body: impl Into<bytes::Bytes>) -> Response {
    send(client, (Method::POST, "/diaries"), body).await
}

#[apply(e2e_test!)]
async fn are_rejected_unless_they_are_json(env: &TestEnv) {
    let user = env.user().await;
    let bodies: [&[u8]; 22] = [
        b" ",
        b"{",
        b"}",
        b"{\"content\"",
        b"{\"content\": \"a text that is long enough\"",
        b"{\"content\": \"a text that is long enough}",
        b"{\"content\": \"a text that is long enough\",}",
        b"{'content': 'a text that is long enough'}",
        b"{\"content\": \"a text that is long enough\"} {}",
        b"{\"content\": \"a text that is long enough\"}\0",
        b"{\"content\": \"a line\nbreak in a string\"}",
        b"{\"content\": \"\\ud800 is half a character\"}",
        b"{\"content\": \"\\udc00\\ud800 in the wrong order\"}",
        b"{\"content\": \"\\x41 is no escape of JSON\"}",
        b"{\"content\": NaN}",
        b"{\"content\": 1e}",
        b"{\"content\": undefined}",
        b"content=a+text+that+is+long+enough",
        b"<content>a text that is long enough</content>",
        b"\xef\xbb\xbf{\"content\": \"a byte order mark before it\"}",
        b"{\"content\": \"\xff\xfe is not UTF-8\"}",
        b"{\"content\": \"\xc0\xaf is an overlong slash\"}",
    ];
    for (route, fields) in ROUTES {
        for body in bodies {
            let body = replace(body, b"content", fields[0].as_bytes());
            let response = send(&user, route.clone(), body).await;
            response.expect_invalid(&["body"]);
        }
        let without_body = request(&user, route);
        let without_body = without_body.header("content-type", "application/json");
        without_body.send().await.expect_invalid(&["body"]);
    }
}

/// Returns `bytes` with the first occurrence of `from` replaced.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

#[apply(e2e_test!)]
async fn are_rejected_when_an_ignored_field_is_not_utf8(env: &TestEnv) {
    let user = env.user().await;
    let body = b"{\"content\": \"A text that is long enough.\", \"note\": \"\xff\"}";
    create(&user, body.to_vec()).await.expect_invalid(&["body"]);
}

#[apply(e2e_test!)]
async fn are_rejected_unless_they_are_an_object(env: &TestEnv) {
    let user = env.user().await;
    let bodies = [
        "null",
        "true",
        "1",
        "\"a text that is long enough\"",
        "[]",
        "[\"email\", \"password\"]",
        "1e400",
        "-0",
    ];
    for (route, fields) in ROUTES {
        for body in bodies {
            let response = send(&user, route.clone(), body).await;
            response.expect_invalid(&["body"]);
        }
        send(&user, route, "{}").await.expect_invalid(fields);
    }
}

#[apply(e2e_test!)]
async fn are_rejected_by_field_when_a_value_is_no_string(env: &TestEnv) {
    let user = env.user().await;
    let values = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "18446744073709551616",
        "1e308",
        "[]",
        "[\"text\"]",
        "{}",
        "{\"$gt\": \"\"}",
        &format!("0.{}", "1".repeat(60_000)),
    ];
    for value in values {
        for (route, fields) in ROUTES {
            for invalid in fields {
                let value_of = |field: &str| match field {
                    field if field == *invalid => value.to_owned(),
                    "email" => "\"ann@example.com\"".to_owned(),
                    _ => format!("\"{PASSWORD}\""),
                };
                let members = fields.iter();
                let members = members.map(|field| format!("\"{field}\": {}", value_of(field)));
                let members: Vec<String> = members.collect();
                let body = format!("{{{}}}", members.join(", "));
                let response = send(&user, route.clone(), body).await;
                response.expect_invalid(&[invalid]);
            }
        }
    }
}

/// JSON has no bounds for numbers, but no number type of Rust holds these.
#[apply(e2e_test!)]
async fn are_rejected_when_a_number_is_out_of_range(env: &TestEnv) {
    let user = env.user().await;
    let many_digits = "9".repeat(400);
    for number in [&many_digits, "1e400", "-1e999999999"] {
        for (route, fields) in ROUTES {
            let body = format!("{{\"{}\": {number}}}", fields[0]);
            let response = send(&user, route, body).await;
            response.expect_invalid(&["body"]);
        }
    }
}

/// Parsers do not agree on which of two values counts.
#[apply(e2e_test!)]
async fn are_rejected_when_a_key_occurs_twice(env: &TestEnv) {
    let user = env.user().await;
    let body = r#"{"content": "the first of two texts", "content": "the second of two texts"}"#;
    create(&user, body).await.expect_invalid(&["body"]);
    let email = unique_email();
    let body = format!(
        r#"{{"email": "{email}", "password": "{PASSWORD}", "password": "Other1!password"}}"#
    );
    let response = send(&user, (Method::POST, "/auth/register"), body).await;
    response.expect_invalid(&["body"]);
}

#[apply(e2e_test!)]
async fn are_rejected_when_nested_too_deeply(env: &TestEnv) {
    let user = env.user().await;
    for depth in [200, 10_000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let bodies = [
            format!("{{\"content\": {arrays}}}"),
            arrays,
            objects,
            "[".repeat(depth),
        ];
        for body in bodies {
            for (route, _) in ROUTES {
                let response = send(&user, route, body.clone()).await;
                response.expect_error(400, "validation_error");
            }
        }
    }
    user.get("/auth/me").await.expect_status(200);
}

/// Postgres cannot store U+0000 in a text.
#[apply(e2e_test!)]
async fn are_rejected_when_a_stored_field_contains_u0000(env: &TestEnv) {
    let user = env.user().await;
    for content in [
        "\0a text that is long enough",
        "a text that \0 is long enough",
        "\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let response = user.post("/diaries", &json!({"content": content})).await;
        response.expect_invalid(&["content"]);
    }
    let entry = user.create_entry("A text without that character.").await;
    let response = user
        .update_entry(&entry, "A text with one \0 of them.")
        .await;
    response.expect_invalid(&["content"]);
    assert_eq!(user.read_entry(&entry).await, entry);
    let anonymous = user.anonymous();
    let email = "ann\0@example.com";
    let response = anonymous.register(email, PASSWORD).await;
    response.expect_invalid(&["email"]);
    let response = anonymous.try_log_in(email, PASSWORD).await;
    response.expect_invalid(&["email"]);
}

/// A password is hashed and never stored, so it may contain every character.
#[apply(e2e_test!)]
async fn are_accepted_when_the_password_contains_u0000(env: &TestEnv) {
    let anonymous = env.anonymous();
    let (email, password) = (unique_email(), "Passw0rd!\0");
    let response = anonymous.register(&email, password).await;
    response.expect_status(201);
    anonymous.log_in(&email, password).await;
}

#[apply(e2e_test!)]
async fn are_rejected_when_the_media_type_is_not_json(env: &TestEnv) {
    let user = env.user().await;
    let other_types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/json",
        "",
        "application/json, text/plain",
    ];
    for (route, _) in ROUTES {
        let with_type = |media_type: &str| request(&user, route.clone()).body(media_type, VALID);
        let json = || with_type("application/json");
        let mut requests: Vec<Request> = other_types.into_iter().map(with_type).collect();
        requests.push(json().without("content-type"));
        requests.push(json().header("content-type", "application/json"));
        requests.push(json().header("content-encoding", "gzip"));
        for request in requests {
            let response = request.send().await;
            response.expect_error(415, "unsupported_media_type");
        }
    }
}

#[apply(e2e_test!)]
async fn are_accepted_in_every_spelling_of_the_media_type(env: &TestEnv) {
    let user = env.user().await;
    for media_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        let request = request(&user, (Method::POST, "/diaries"));
        let response = request.body(media_type, VALID).send().await;
        response.expect_status(201);
    }
}

#[apply(e2e_test!)]
async fn are_accepted_up_to_64_kib(env: &TestEnv) {
    env.without_proxy();
    const LIMIT: usize = 64 * 1024;
    let user = env.user().await;
    let padded = |length: usize| format!("{VALID}{}", " ".repeat(length - VALID.len()));
    create(&user, padded(LIMIT)).await.expect_status(201);
    for length in [LIMIT + 1, 2 * LIMIT, 3_000_000] {
        for (route, _) in ROUTES {
            let response = send(&user, route, padded(length)).await;
            response.expect_error(413, "payload_too_large");
        }
    }
    assert_eq!(user.list("").await["total"], 1);
}

#[apply(e2e_test!)]
async fn may_contain_escapes(env: &TestEnv) {
    let user = env.user().await;
    let body = r#"{"content": "\u00e9\ud83d\ude00\t\"\\\/ and so on, <b>bold\u003c/b>"}"#;
    let entry: Value = create(&user, body).await.expect_status(201).json();
    assert_eq!(entry["content"], "é😀\t\"\\/ and so on, <b>bold</b>");
}

#[apply(e2e_test!)]
async fn are_never_repeated_in_an_error(env: &TestEnv) {
    let user = env.user().await;
    let anonymous = user.anonymous();
    let word = unique_word("echo");
    let body = json!({"email": word, "password": word, "content": {"a": word}});
    let not_json = format!("{{{word}");
    let requests = [
        (
            anonymous
                .request(Method::POST, "/auth/register")
                .json(&body),
            400,
        ),
        (
            anonymous.request(Method::POST, "/auth/login").json(&body),
            400,
        ),
        (user.request(Method::POST, "/diaries").json(&body), 400),
        (
            user.request(Method::POST, "/diaries")
                .body("application/json", not_json),
            400,
        ),
        (
            user.request(Method::GET, &format!("/diaries?page={word}")),
            400,
        ),
        (user.request(Method::GET, &format!("/{word}")), 404),
        (user.request(Method::GET, "/diaries").bearer(&word), 401),
    ];
    for (request, status) in requests {
        let response = request.send().await.expect_status(status);
        assert!(!response.text().contains(&word), "{}", response.dump());
    }
}
