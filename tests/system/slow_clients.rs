//! Clients that take a response slowly, or not at all.

use std::time::Duration;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::support::env::TestEnv;
use crate::support::raw_http::connect_and_write;
use crate::support::registry::e2e_test;

/// More than the service waits for a client to take the next piece.
const PAUSE: Duration = Duration::from_secs(35);

/// Less than the whole response, and more than the buffers of a connection hold on both sides.
const LARGE: usize = 12 * 1024 * 1024;

#[apply(e2e_test!)]
async fn that_do_not_read_lose_a_large_response(env: &TestEnv) {
    let user = env.user().await;
    let content = format!("A lovely day.{}", " ".repeat(64_000));
    let line = |minute: u32| {
        let created_at = format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60);
        json!({"type": "diary", "content": content, "created_at": created_at}).to_string()
    };
    let lines: Vec<String> = (0..100).map(line).collect();
    let request = user.request(Method::POST, "/diaries/import");
    let request = request.body("application/x-ndjson", lines.join("\n"));
    request.send().await.expect_status(200);

    let request = format!(
        "GET /diaries?per_page=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        user.session().access_token
    );
    for (pause, is_whole) in [(Duration::ZERO, true), (PAUSE, false)] {
        let mut stream = connect_and_write(&env.shared.service, request.as_bytes()).await;
        tokio::time::sleep(pause).await;
        let mut received = Vec::new();
        // A connection that is reset has ended as well.
        let _ = stream.read_to_end(&mut received).await;
        assert!(received.starts_with(b"HTTP/1.1 200"), "{pause:?}");
        let length = received.len();
        assert_eq!(length > LARGE, is_whole, "{length} bytes after {pause:?}");
    }
}
