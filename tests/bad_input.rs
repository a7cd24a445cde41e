//! Bodies that are wrong: each gets the contract's error, and none anything worse.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Caller, PASSWORD, fresh_email};
use crate::stage::Stage;

tests![
    bodies_that_are_no_json_are_refused,
    text_that_is_no_utf8_is_refused_wherever_it_stands,
    bodies_of_another_shape_are_refused,
    fields_of_another_type_are_refused_by_name,
    numbers_beyond_all_bounds_are_refused,
    keys_given_twice_are_refused,
    deep_json_is_refused,
    nul_characters_are_refused_in_what_is_stored_as_text,
    unknown_fields_change_nothing,
    bodies_of_another_media_type_are_refused,
    bodies_up_to_64_kib_are_read_and_larger_ones_refused,
    escapes_in_json_are_read,
];

/// The routes that read a body.
const WITH_BODY: [(Method, &str); 4] = [
    (Method::POST, "/auth/register"),
    (Method::POST, "/auth/login"),
    (Method::POST, "/diaries"),
    (Method::PUT, "/diaries/1"),
];

async fn send(
    user: &Caller,
    (method, path): (Method, &str),
    body: impl Into<bytes::Bytes>,
) -> Answer {
    // Limits are by address; these tests are not about them.
    let address = user.anonymous().address;
    let call = user
        .call(method, path)
        .without("x-forwarded-for")
        .header("x-forwarded-for", address);
    call.body("application/json", body).send().await
}

async fn bodies_that_are_no_json_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
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
        b"{\"content\": \"\\udc00\\ud800 the wrong way round\"}",
        b"{\"content\": \"\\x41 is no escape of JSON\"}",
        b"{\"content\": NaN}",
        b"{\"content\": 1e}",
        b"{\"content\": undefined}",
        b"content=a+text+that+is+long+enough",
        b"<content>a text that is long enough</content>",
        b"\xef\xbb\xbf{\"content\": \"a byte order mark before it\"}",
        b"{\"content\": \"\xff\xfe is no UTF-8 at all\"}",
        b"{\"content\": \"\xc0\xaf is an overlong slash\"}",
    ];
    for body in bodies {
        for (method, path) in WITH_BODY {
            let body = match path {
                "/auth/register" | "/auth/login" => with_key(body, "email"),
                _ => body.to_vec(),
            };
            send(&user, (method, path), body)
                .await
                .expect_invalid("body");
        }
    }
    for (method, path) in WITH_BODY {
        let call = user.call(method, path).without("x-forwarded-for");
        let call = call.header("x-forwarded-for", user.anonymous().address);
        call.header("content-type", "application/json")
            .send()
            .await
            .expect_invalid("body");
    }
}

/// The same body with another key for `content`.
fn with_key(body: &[u8], key: &str) -> Vec<u8> {
    let Some(at) = body.windows(7).position(|bytes| bytes == b"content") else {
        return body.to_vec();
    };
    [&body[..at], key.as_bytes(), &body[at + 7..]].concat()
}

async fn text_that_is_no_utf8_is_refused_wherever_it_stands(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let draft = b"{\"content\": \"A text that is long enough.\", \"note\": \"\xff\"}";
    send(&user, (Method::POST, "/diaries"), draft.to_vec())
        .await
        .expect_invalid("body");
}

async fn bodies_of_another_shape_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for body in [
        "null",
        "true",
        "1",
        "\"a text that is long enough\"",
        "[]",
        "[\"email\", \"password\"]",
        "1e400",
        "-0",
    ] {
        for route in WITH_BODY {
            send(&user, route, body)
                .await
                .expect_error(400, "validation_error");
        }
    }
    for (method, path) in WITH_BODY {
        let field = if path.starts_with("/auth") {
            "email"
        } else {
            "content"
        };
        send(&user, (method, path), "{}")
            .await
            .expect_invalid(field);
    }
}

async fn fields_of_another_type_are_refused_by_name(stage: &Stage) {
    let user = stage.shared.service.user().await;
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
    ];
    for value in values {
        for path in ["/auth/register", "/auth/login"] {
            let email = format!("{{\"email\": {value}, \"password\": \"{PASSWORD}\"}}");
            send(&user, (Method::POST, path), email)
                .await
                .expect_invalid("email");
            let password = format!("{{\"email\": \"ann@example.com\", \"password\": {value}}}");
            send(&user, (Method::POST, path), password)
                .await
                .expect_invalid("password");
        }
        let content = format!("{{\"content\": {value}}}");
        send(&user, (Method::POST, "/diaries"), content.clone())
            .await
            .expect_invalid("content");
        send(&user, (Method::PUT, "/diaries/1"), content)
            .await
            .expect_invalid("content");
    }
}

async fn numbers_beyond_all_bounds_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for number in [
        &"9".repeat(400),
        "1e400",
        "-1e999999999",
        &format!("0.{}", "1".repeat(60_000)),
    ] {
        let content = format!("{{\"content\": {number}}}");
        let answer = send(&user, (Method::POST, "/diaries"), content).await;
        answer.expect_error(400, "validation_error");
        let credentials = format!("{{\"email\": \"ann@example.com\", \"password\": {number}}}");
        let answer = send(&user, (Method::POST, "/auth/login"), credentials).await;
        answer.expect_error(400, "validation_error");
    }
}

/// Which of the two would count, readers of JSON do not agree on.
async fn keys_given_twice_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let draft = r#"{"content": "the first of two texts", "content": "the second of two texts"}"#;
    send(&user, (Method::POST, "/diaries"), draft)
        .await
        .expect_invalid("body");
    let credentials = format!(
        r#"{{"email": "{}", "password": "{PASSWORD}", "password": "Other1!password"}}"#,
        fresh_email()
    );
    send(&user, (Method::POST, "/auth/register"), credentials)
        .await
        .expect_invalid("body");
}

async fn deep_json_is_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for depth in [200, 10_000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for body in [
            arrays.clone(),
            objects,
            "[".repeat(depth),
            format!("{{\"content\": {arrays}}}"),
        ] {
            for route in WITH_BODY {
                send(&user, route, body.clone())
                    .await
                    .expect_error(400, "validation_error");
            }
        }
    }
    user.get("/auth/me").await.expect(200);
}

async fn nul_characters_are_refused_in_what_is_stored_as_text(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for content in [
        "\0a text that is long enough",
        "a text that \0 is long enough",
        "\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        user.post("/diaries", &json!({"content": content}))
            .await
            .expect_invalid("content");
    }
    let diary = user.write("A text without such a character.").await;
    let path = format!("/diaries/{}", diary["id"]);
    user.put(&path, &json!({"content": "A text with one \0 of them."}))
        .await
        .expect_invalid("content");
    assert_eq!(user.get(&path).await.expect(200).json(), diary);
    for path in ["/auth/register", "/auth/login"] {
        let body = json!({"email": "ann\0@example.com", "password": PASSWORD});
        user.anonymous()
            .post(path, &body)
            .await
            .expect_invalid("email");
    }
    // A password is hashed and never stored, so every character may be in it.
    let body = json!({"email": fresh_email(), "password": "Passw0rd!\0"});
    user.anonymous()
        .post("/auth/register", &body)
        .await
        .expect(201);
    user.anonymous()
        .post("/auth/login", &body)
        .await
        .expect(200);
}

async fn unknown_fields_change_nothing(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let other = stage.shared.service.user().await;
    let draft = json!({
        "content": "An entry with more in it than we ask for.",
        "id": 1, "user_id": other.login().user_id, "positive_count": 99, "analyzed_content": "<script>alert(1)</script>",
        "analyzed_by": "model", "created_at": "2000-01-01T00:00:00.000Z", "__proto__": {"admin": true},
    });
    let diary = user.post("/diaries", &draft).await.expect(201).json();
    assert_ne!(diary["positive_count"], 99);
    assert!(
        diary["created_at"]
            .as_str()
            .is_some_and(|time| time > "2001"),
        "{diary}"
    );
    user.get(&format!("/diaries/{}", diary["id"]))
        .await
        .expect(200);
    assert_eq!(other.get("/diaries").await.expect(200).json()["total"], 0);
}

async fn bodies_of_another_media_type_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let draft = json!({"content": "A text that is long enough."}).to_string();
    let call = |path: &str| {
        user.call(Method::POST, path)
            .without("x-forwarded-for")
            .header("x-forwarded-for", user.anonymous().address)
    };
    for path in ["/auth/register", "/auth/login", "/diaries"] {
        for media_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "text/json",
            "",
            "application/json, text/plain",
        ] {
            let answer = call(path).body(media_type, draft.clone()).send().await;
            answer.expect_error(415, "unsupported_media_type");
        }
        let none = call(path)
            .body("application/json", draft.clone())
            .without("content-type");
        none.send()
            .await
            .expect_error(415, "unsupported_media_type");
        let two = call(path)
            .body("application/json", draft.clone())
            .header("content-type", "application/json");
        two.send().await.expect_error(415, "unsupported_media_type");
        let packed = call(path)
            .body("application/json", draft.clone())
            .header("content-encoding", "gzip");
        packed
            .send()
            .await
            .expect_error(415, "unsupported_media_type");
    }
    for media_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        call("/diaries")
            .body(media_type, draft.clone())
            .send()
            .await
            .expect(201);
    }
}

/// A body of so many bytes that is JSON all the same.
fn padded(body: &Value, bytes: usize) -> String {
    let text = body.to_string();
    format!("{text}{}", " ".repeat(bytes - text.len()))
}

async fn bodies_up_to_64_kib_are_read_and_larger_ones_refused(stage: &Stage) {
    const LIMIT: usize = 64 * 1024;
    let user = stage.shared.service.user().await;
    let draft = json!({"content": "A text that is long enough."});
    send(&user, (Method::POST, "/diaries"), padded(&draft, LIMIT))
        .await
        .expect(201);
    for size in [LIMIT + 1, 2 * LIMIT, 3_000_000] {
        for route in WITH_BODY {
            send(&user, route, padded(&draft, size))
                .await
                .expect_error(413, "payload_too_large");
        }
    }
    assert_eq!(user.get("/diaries").await.expect(200).json()["total"], 1);
}

async fn escapes_in_json_are_read(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let body = r#"{"content": "\u00e9\ud83d\ude00\t\"\\\/ and so on, <b>bold\u003c/b>"}"#;
    let diary = send(&user, (Method::POST, "/diaries"), body)
        .await
        .expect(201)
        .json();
    assert_eq!(diary["content"], "é😀\t\"\\/ and so on, <b>bold</b>");
}
