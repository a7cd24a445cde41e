//! Requests as a component sees them, and the answers that the host gives by itself.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::client::send_raw;
use crate::runtime::Start;

/// The values of `name` among the headers that the probe saw, in order.
fn values(seen: &Value, name: &str) -> Vec<String> {
    let headers = seen["headers"].as_array().into_iter().flatten();
    headers
        .filter(|header| header[0] == name)
        .map(|header| header[1].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_hosts_headers_come_after_the_clients() {
    let runtime = Start::probe().serve();
    let seen = runtime
        .request("GET", "/headers?a=b", "x-first: 1\r\n", "")
        .json();
    let names: Vec<_> = seen["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|header| header[0].as_str().unwrap_or_default())
        .collect();
    let expected = [
        "host",
        "x-first",
        "content-length",
        "spin-path-info",
        "spin-full-url",
        "spin-matched-route",
        "spin-base-path",
        "spin-raw-component-route",
        "spin-component-route",
        "spin-client-addr",
    ];
    assert_eq!(names, expected);
    let full_url = format!("http://{}/headers?a=b", runtime.address);
    assert_eq!(values(&seen, "spin-full-url"), [full_url]);
    assert_eq!(values(&seen, "spin-path-info"), ["/headers"]);
    assert_eq!(values(&seen, "spin-matched-route"), ["/..."]);
    assert_eq!(values(&seen, "spin-component-route"), [""]);
}

#[test]
fn a_forged_client_address_is_read_first() {
    let runtime = Start::probe().serve();
    let forged = "spin-client-addr: 6.6.6.6:1\r\nx-forwarded-for: 7.7.7.7\r\n";
    let seen = runtime.request("GET", "/headers", forged, "").json();
    let addresses = values(&seen, "spin-client-addr");
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert_eq!(addresses[0], "6.6.6.6:1");
    assert!(addresses[1].starts_with("127.0.0.1:"), "{addresses:?}");
    assert_eq!(values(&seen, "x-forwarded-for"), ["7.7.7.7"]);
}

#[test]
fn route_parameters_and_the_rest_of_the_path_are_headers() {
    let runtime = Start::probe().serve();
    let seen = runtime.get("/users/7/diaries/headers").json();
    assert_eq!(values(&seen, "spin-path-match-user-id"), ["7"]);
    assert_eq!(values(&seen, "spin-path-info"), ["/headers"]);
    assert_eq!(
        values(&seen, "spin-component-route"),
        ["/users/:user_id/diaries"]
    );
}

#[test]
fn a_header_that_is_not_utf8_is_answered_with_500() {
    let runtime = Start::probe().serve();
    let request = b"GET /headers HTTP/1.1\r\nhost: a\r\nx-odd: \xff\r\n\r\n";
    let answer = send_raw(runtime.address, request).expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (500, 0));
}

#[test]
fn a_request_without_host_gets_no_answer() {
    let runtime = Start::probe().serve();
    let answer = send_raw(runtime.address, b"GET /headers HTTP/1.1\r\n\r\n");
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn an_error_and_a_trap_are_answered_with_an_empty_500() {
    let runtime = Start::probe().serve();
    for path in ["/error", "/trap"] {
        let answer = runtime.get(path);
        assert_eq!((answer.status, answer.body.len()), (500, 0), "{path}");
    }
    assert_eq!(runtime.get("/health").status, 200);
}

#[test]
fn a_path_without_route_is_answered_with_an_empty_404() {
    let wasm = crate::runtime::probe_wasm();
    let runtime = Start::text(&format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
         [[trigger.http]]\nroute = \"/health\"\ncomponent = \"probe\"\n\
         [component.probe]\nsource = {wasm:?}\n"
    ))
    .serve();
    let answer = runtime.get("/elsewhere");
    assert_eq!((answer.status, answer.body.len()), (404, 0));
    assert_eq!(runtime.get("/health").status, 200);
}

#[test]
fn well_known_paths_are_answered_by_the_host() {
    let runtime = Start::probe().serve();
    let health = runtime.get("/.well-known/spin/health");
    assert_eq!((health.status, &health.body[..]), (200, &b"OK"[..]));
    let info = runtime.get("/.well-known/spin/info").json();
    assert_eq!(
        info,
        serde_json::json!({ "name": "probe", "version": "1.2.3" })
    );
    assert_eq!(runtime.get("/.well-known/spin/other").status, 404);
}

#[test]
fn a_body_may_be_left_unread() {
    let runtime = Start::probe().serve();
    let body = "x".repeat(300_000);
    let all = runtime.post("/body", &body).json();
    assert_eq!(all["bytes"], 300_000);
    // The host does not cap bodies: who does not want more stops reading.
    let capped = runtime.post("/body?cap=1000", &body).json();
    let bytes = capped["bytes"].as_u64().unwrap_or_default();
    assert!((1_001..300_000).contains(&bytes), "{capped}");
}

#[test]
fn a_slow_request_is_waited_for() {
    let runtime = Start::probe().serve();
    let mut stream = TcpStream::connect(runtime.address).expect("it listens");
    let head = "POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    stream.write_all(b"slow").expect("it still reads");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("it answers");
    assert!(answer.contains("\"bytes\":4"), "{answer}");
}
