//! Requests byte by byte: lengths, chunks, request lines, and bytes that are not HTTP.
//!
//! Some of these the HTTP server of the runtime refuses itself, with a status and without a body.

use std::time::Duration;

use macro_rules_attribute::apply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::Client;
use crate::support::env::TestEnv;
use crate::support::raw_http::{
    connect_and_write, exchange, exchange_bytes, send, send_with_timeout, statuses,
};
use crate::support::registry::e2e_test;
use crate::support::unique::unique_address;

const ENTRY: &str = "{\"content\": \"A text that is long enough.\"}";

/// Returns the head of a `POST` of JSON with further headers, each of which ends with a line break.
fn post(user: &Client, path: &str, headers: &str) -> String {
    let token = &user.session().access_token;
    let address = unique_address();
    format!(
        "POST {path} HTTP/1.1\r\nhost: diary.example\r\nauthorization: Bearer {token}\r\n\
         x-forwarded-for: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\n{headers}\r\n"
    )
}

fn post_chunked(user: &Client, path: &str) -> String {
    post(user, path, "transfer-encoding: chunked\r\n")
}

fn post_with_length(user: &Client, path: &str, length: &str) -> String {
    post(user, path, &format!("content-length: {length}\r\n"))
}

fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

#[apply(e2e_test!)]
async fn with_a_huge_header_or_target_are_refused(env: &TestEnv) {
    let service = &env.shared.service;
    let request = |target: &str, header: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: x\r\nx-huge: {header}\r\nconnection: close\r\n\r\n")
    };
    let mebibyte = "x".repeat(1 << 20);
    let long_target = format!("/{}", "x".repeat(70_000));
    for (request, status) in [
        (request("/health", &mebibyte), 431),
        (request(&format!("/{mebibyte}"), ""), 431),
        (request(&long_target, ""), 414),
    ] {
        let responses = exchange(service, request).await;
        assert_eq!(statuses(&responses), [status]);
    }
    env.anonymous().get("/health").await.expect_status(200);
}

#[apply(e2e_test!)]
async fn with_a_chunked_body_are_read_up_to_64_kib(env: &TestEnv) {
    let service = &env.shared.service;
    let user = env.user().await;
    let head = post_chunked(&user, "/diaries");
    let (start, end) = ENTRY.split_at(ENTRY.len() / 2);
    let chunks = chunk(start) + &chunk(end);
    let response = send(service, format!("{head}{chunks}0\r\n\r\n")).await;
    assert_eq!(response.status, 201, "{response:?}");
    let spaces = chunk(&" ".repeat(1000)).repeat(66);
    let response = send(service, format!("{head}{chunks}{spaces}0\r\n\r\n")).await;
    response.expect_error(413, "payload_too_large");
    let list = user.list("").await;
    assert_eq!(list["total"], 1);
    assert_eq!(list["items"][0]["content"], "A text that is long enough.");
}

#[apply(e2e_test!)]
async fn with_an_endless_body_are_refused_before_its_end(env: &TestEnv) {
    let user = env.user().await;
    for path in ["/diaries", "/auth/login", "/auth/register"] {
        let spaces = chunk(&" ".repeat(1000)).repeat(100);
        let request = post_chunked(&user, path) + &spaces;
        let response = send(&env.shared.service, request).await;
        response.expect_error(413, "payload_too_large");
    }
}

#[apply(e2e_test!)]
async fn with_a_declared_length_above_64_kib_are_refused_at_once(env: &TestEnv) {
    let user = env.user().await;
    for length in ["65537", "10000000000", "9223372036854775807"] {
        for path in ["/diaries", "/auth/login", "/auth/register"] {
            let request = post_with_length(&user, path, length) + "{";
            let response = send(&env.shared.service, request).await;
            response.expect_error(413, "payload_too_large");
        }
    }
}

#[apply(e2e_test!)]
async fn with_an_invalid_length_are_refused(env: &TestEnv) {
    let user = env.user().await;
    for length in [
        "-1",
        "ten",
        "1,1",
        "18446744073709551616",
        "0x10",
        "1 1",
        "",
    ] {
        let request = post_with_length(&user, "/diaries", length) + ENTRY;
        let responses = exchange(&env.shared.service, request).await;
        assert_eq!(statuses(&responses), [400], "{length}");
    }
    assert_eq!(user.list("").await["total"], 0);
}

#[apply(e2e_test!)]
async fn with_two_different_lengths_are_refused(env: &TestEnv) {
    let user = env.user().await;
    let length = ENTRY.len();
    for headers in [
        format!("content-length: {length}\r\ncontent-length: 5\r\n"),
        format!("content-length: 5\r\ncontent-length: {length}\r\n"),
    ] {
        let request = post(&user, "/diaries", &headers) + ENTRY;
        let responses = exchange(&env.shared.service, request).await;
        assert_eq!(statuses(&responses), [400]);
    }
    assert_eq!(user.list("").await["total"], 0);
}

#[apply(e2e_test!)]
async fn that_end_early_store_nothing(env: &TestEnv) {
    let user = env.user().await;
    let too_long = (ENTRY.len() + 1).to_string();
    for request in [
        post_with_length(&user, "/diaries", &too_long) + ENTRY,
        post_chunked(&user, "/diaries") + &chunk(ENTRY),
    ] {
        let stream = connect_and_write(&env.shared.service, request.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(user.list("").await["total"], 0);
}

/// The service waits 15 seconds for a body.
#[apply(e2e_test!)]
async fn that_stop_halfway_time_out(env: &TestEnv) {
    let user = env.user().await;
    let declared = post_with_length(&user, "/diaries", "100") + "{\"content\"";
    let chunked = post_chunked(&user, "/diaries") + &chunk("{\"content\"");
    let timeout = Duration::from_secs(20);
    let send = |request| send_with_timeout(timeout, &env.shared.service, request);
    let (declared, chunked) = tokio::join!(send(declared), send(chunked));
    for response in [declared, chunked] {
        response.expect_error(400, "validation_error");
    }
}

/// Otherwise a proxy could lose the response.
#[apply(e2e_test!)]
async fn whose_body_is_not_read_keep_their_connection(env: &TestEnv) {
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {}\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\n\r\n",
        unique_address(),
        ENTRY.len()
    );
    let next = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut stream = connect_and_write(&env.shared.service, head.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let rest = format!("{ENTRY}{next}");
    stream.write_all(rest.as_bytes()).await.expect("written");
    let mut received = String::new();
    let read = stream.read_to_string(&mut received).await;
    read.expect("the connection ends after the second response");
    let statuses: Vec<&str> = received
        .match_indices("HTTP/1.1 ")
        .map(|(at, prefix)| &received[at + prefix.len()..][..3])
        .collect();
    assert_eq!(statuses, ["415", "200"], "{received}");
}

#[apply(e2e_test!)]
async fn that_are_pipelined_are_answered_in_order(env: &TestEnv) {
    let calls = [
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("HEAD", "/version", 200),
        ("OPTIONS", "/diaries", 204),
        ("GET", "/diaries", 401),
        ("GET", "/version", 200),
    ];
    let mut request = String::new();
    for (number, (method, path, _)) in calls.iter().enumerate() {
        let connection = match number + 1 {
            last if last == calls.len() => "close",
            _ => "keep-alive",
        };
        request += &format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-request-id: call-{number}\r\nconnection: {connection}\r\n\r\n"
        );
    }
    // Not split into responses, since the one to HEAD has a `Content-Length` and no body.
    let timeout = Duration::from_secs(10);
    let received = exchange_bytes(timeout, &env.shared.service, request.as_bytes()).await;
    let received = String::from_utf8(received).expect("UTF-8");
    let after = |marker: &str, end: char| -> Vec<String> {
        let parts = received.split(marker).skip(1);
        let values = parts.filter_map(|part| part.split(end).next());
        values.map(str::to_owned).collect()
    };
    let expected = calls.map(|(_, _, status)| status.to_string());
    assert_eq!(after("HTTP/1.1 ", ' '), expected, "{received}");
    let ids = ["call-0", "call-1", "call-2", "call-3", "call-4", "call-5"];
    assert_eq!(after("x-request-id: ", '\r'), ids, "{received}");
}

#[apply(e2e_test!)]
async fn may_have_header_names_in_any_case(env: &TestEnv) {
    let user = env.user().await;
    let token = &user.session().access_token;
    let request = format!(
        "GET /auth/me HTTP/1.1\r\nHOST: x\r\nAUTHORIZATION: BEARER {token}\r\n\
         X-REQUEST-ID: Upper-Case\r\nConnection: CLOSE\r\n\r\n"
    );
    let response = send(&env.shared.service, request).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("x-request-id"), Some("Upper-Case"));
}

#[apply(e2e_test!)]
async fn may_have_an_absolute_target_or_version_1_0(env: &TestEnv) {
    let service = &env.shared.service;
    for request in [
        "GET http://diary.example/health HTTP/1.1\r\nhost: diary.example\r\nconnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\nhost: x\r\n\r\n",
    ] {
        let response = send(service, request).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[apply(e2e_test!)]
async fn may_ask_for_the_options_of_the_server(env: &TestEnv) {
    let request = "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let responses = exchange(&env.shared.service, request).await;
    assert_eq!(statuses(&responses), [204], "{responses:?}");
}

#[apply(e2e_test!)]
async fn that_are_not_http_are_refused(env: &TestEnv) {
    let requests: [&[u8]; 6] = [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n",
        b"GET /he alth HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n",
    ];
    for request in requests {
        let responses = exchange(&env.shared.service, request).await;
        let request = String::from_utf8_lossy(request);
        assert_eq!(statuses(&responses), [400], "{request}");
    }
    env.anonymous().get("/health").await.expect_status(200);
}
