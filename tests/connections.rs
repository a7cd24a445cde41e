//! Requests byte by byte: lengths, chunks, lines and what is no HTTP at all.

use std::time::Duration;

use crate::client::Caller;
use crate::raw::{ask, ask_within, exchange};
use crate::stage::Stage;

tests![
    headers_beyond_the_hosts_limit_end_in_a_clear_status,
    a_chunked_body_is_read_up_to_64_kib,
    an_endless_chunked_body_is_refused_before_its_end,
    a_declared_length_beyond_64_kib_is_refused_at_once,
    a_length_that_is_none_is_refused,
    two_lengths_that_differ_are_refused,
    a_body_that_ends_early_stores_nothing,
    a_body_that_stops_half_way_is_not_waited_for,
    requests_sent_together_are_answered_in_order,
    header_names_may_have_any_case,
    targets_may_be_absolute_or_a_star,
    what_is_no_http_ends_the_connection,
];

/// Such a request never reaches us: the HTTP server refuses it, with no body.
async fn headers_beyond_the_hosts_limit_end_in_a_clear_status(stage: &Stage) {
    let huge = "x".repeat(1 << 20);
    let service = &stage.shared.service;
    for request in [
        format!("GET /health HTTP/1.1\r\nhost: x\r\nx-huge: {huge}\r\nconnection: close\r\n\r\n"),
        format!("GET /{huge} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    ] {
        let answers = exchange(service, request).await;
        assert!(
            answers
                .iter()
                .all(|answer| (400..500).contains(&answer.status)),
            "{answers:?}"
        );
    }
    service.anonymous().get("/health").await.expect(200);
}

fn head(user: &Caller, method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: diary.example\r\nauthorization: Bearer {}\r\nx-forwarded-for: {}\r\n\
         content-type: application/json\r\nconnection: close\r\n{more}\r\n",
        user.login().access_token,
        user.anonymous().address,
    )
}

fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

async fn a_chunked_body_is_read_up_to_64_kib(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let head = head(&user, "POST", "/diaries", "transfer-encoding: chunked\r\n");
    let beginning =
        chunk("{\"content\": \"A text that ") + &chunk("is long enough.\"") + &chunk("}");
    let answer = ask(&stage.shared.service, format!("{head}{beginning}0\r\n\r\n")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(
        answer.body.contains("A text that is long enough."),
        "{answer:?}"
    );
    let blanks = chunk(&" ".repeat(1000)).repeat(66);
    let answer = ask(
        &stage.shared.service,
        format!("{head}{beginning}{blanks}0\r\n\r\n"),
    )
    .await;
    answer.expect_error(413, "payload_too_large");
    assert_eq!(user.get("/diaries").await.expect(200).json()["total"], 1);
}

async fn an_endless_chunked_body_is_refused_before_its_end(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for path in ["/diaries", "/auth/login", "/auth/register"] {
        let head = head(&user, "POST", path, "transfer-encoding: chunked\r\n");
        let blanks = chunk(&" ".repeat(1000)).repeat(100);
        let answer = ask(&stage.shared.service, format!("{head}{blanks}")).await;
        answer.expect_error(413, "payload_too_large");
    }
}

async fn a_declared_length_beyond_64_kib_is_refused_at_once(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for length in ["65537", "10000000000", "9223372036854775807"] {
        for path in ["/diaries", "/auth/login", "/auth/register"] {
            let head = head(
                &user,
                "POST",
                path,
                &format!("content-length: {length}\r\n"),
            );
            let answer = ask(&stage.shared.service, format!("{head}{{")).await;
            answer.expect_error(413, "payload_too_large");
        }
    }
}

async fn a_length_that_is_none_is_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for length in [
        "-1",
        "ten",
        "1,1",
        "18446744073709551616",
        "0x10",
        "1 1",
        "",
    ] {
        let head = head(
            &user,
            "POST",
            "/diaries",
            &format!("content-length: {length}\r\n"),
        );
        for answer in exchange(&stage.shared.service, format!("{head}{{}}")).await {
            assert!((400..500).contains(&answer.status), "{length}: {answer:?}");
        }
    }
    assert_eq!(user.get("/diaries").await.expect(200).json()["total"], 0);
}

async fn two_lengths_that_differ_are_refused(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let body = "{\"content\": \"A text that is long enough.\"}";
    let length = body.len();
    for more in [
        format!("content-length: {length}\r\ncontent-length: 5\r\n"),
        format!("content-length: 5\r\ncontent-length: {length}\r\n"),
    ] {
        let request = head(&user, "POST", "/diaries", &more) + body;
        let answers = exchange(&stage.shared.service, request).await;
        assert!(
            answers
                .iter()
                .all(|answer| (400..500).contains(&answer.status)),
            "{answers:?}"
        );
    }
    assert_eq!(user.get("/diaries").await.expect(200).json()["total"], 0);
}

async fn a_body_that_ends_early_stores_nothing(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let body = "{\"content\": \"A text that is long enough.\"}";
    for more in [
        format!("content-length: {}\r\n", body.len() + 1),
        "transfer-encoding: chunked\r\n".to_owned(),
    ] {
        let body = if more.starts_with("transfer") {
            chunk(body)
        } else {
            body.to_owned()
        };
        let request = head(&user, "POST", "/diaries", &more) + &body;
        let stream = tokio::net::TcpStream::connect(stage.shared.service.authority()).await;
        let mut stream = stream.expect("the service can be connected to");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
            .await
            .expect("is sent");
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(user.get("/diaries").await.expect(200).json()["total"], 0);
}

async fn a_body_that_stops_half_way_is_not_waited_for(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let declared = head(&user, "POST", "/diaries", "content-length: 100\r\n") + "{\"content\"";
    let chunked =
        head(&user, "POST", "/diaries", "transfer-encoding: chunked\r\n") + &chunk("{\"content\"");
    // The service waits for 15 seconds.
    let ask = |request| ask_within(Duration::from_secs(20), &stage.shared.service, request);
    let (declared, chunked) = tokio::join!(ask(declared), ask(chunked));
    for answer in [declared, chunked] {
        answer.expect_error(400, "validation_error");
    }
}

async fn requests_sent_together_are_answered_in_order(stage: &Stage) {
    let service = &stage.shared.service;
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
        let last = if number + 1 == calls.len() {
            "connection: close\r\n"
        } else {
            ""
        };
        request += &format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-request-id: call-{number}\r\n{last}\r\n"
        );
    }
    // What follows a HEAD cannot be split by `Content-Length`; so it is looked at in pieces.
    let stream = tokio::net::TcpStream::connect(service.authority()).await;
    let mut stream = stream.expect("the service can be connected to");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .expect("is sent");
    let mut answer = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(10), read)
        .await
        .expect("it ends")
        .expect("is read");
    let statuses: Vec<u16> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|part| part.get(..3)?.parse().ok())
        .collect();
    assert_eq!(statuses, calls.map(|(.., status)| status), "{answer}");
    let ids: Vec<&str> = answer
        .split("x-request-id: ")
        .skip(1)
        .filter_map(|part| part.split('\r').next())
        .collect();
    assert_eq!(
        ids,
        ["call-0", "call-1", "call-2", "call-3", "call-4", "call-5"],
        "{answer}"
    );
}

async fn header_names_may_have_any_case(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let request = format!(
        "GET /auth/me HTTP/1.1\r\nHOST: x\r\nAUTHORIZATION: BEARER {}\r\nX-REQUEST-ID: Shouted\r\nConnection: CLOSE\r\n\r\n",
        user.login().access_token
    );
    let answer = ask(&stage.shared.service, request).await;
    assert_eq!(
        (answer.status, answer.header("x-request-id")),
        (200, Some("Shouted")),
        "{answer:?}"
    );
}

async fn targets_may_be_absolute_or_a_star(stage: &Stage) {
    let service = &stage.shared.service;
    let absolute = "GET http://diary.example/health HTTP/1.1\r\nhost: diary.example\r\nconnection: close\r\n\r\n";
    let answer = ask(service, absolute).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let star = exchange(
        service,
        "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(star.iter().all(|answer| answer.status < 500), "{star:?}");
    let old = ask(service, "GET /health HTTP/1.0\r\nhost: x\r\n\r\n").await;
    assert_eq!(old.status, 200, "{old:?}");
}

async fn what_is_no_http_ends_the_connection(stage: &Stage) {
    let service = &stage.shared.service;
    let requests: [&[u8]; 6] = [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n",
        b"GET /he alth HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n",
    ];
    for request in requests {
        for answer in exchange(service, request).await {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }
    service.anonymous().get("/health").await.expect(200);
}
