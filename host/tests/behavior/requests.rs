//! Requests as a component sees them, and responses that the host makes itself.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::client::{read_response, send_raw};
use crate::runtime::{Runtime, Start, probe_manifest};

/// Returns the headers that the probe sees, in order.
fn headers(runtime: &Runtime, target: &str, headers: &str) -> Vec<(String, String)> {
    let seen = runtime.request("GET", target, headers, "").json();
    serde_json::from_value(seen["headers"].clone()).expect("a list of names and values")
}

/// Returns the values of the headers with a name.
fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let with_name = headers.iter().filter(|header| header.0 == name);
    with_name.map(|header| header.1.as_str()).collect()
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_hosts_headers_come_after_those_of_the_client() {
    let runtime = Start::probe().serve();
    let seen = headers(&runtime, "/headers?a=b", "x-first: 1\r\n");
    let (client, seen) = seen.split_last().expect("there are headers");
    assert_eq!(client.0, "spin-client-addr");
    assert!(client.1.starts_with("127.0.0.1:"), "{client:?}");
    let address = runtime.address.to_string();
    let full_url = format!("http://{address}/headers?a=b");
    let expected = [
        ("host", address.as_str()),
        ("x-first", "1"),
        ("content-length", "0"),
        ("spin-path-info", "/headers"),
        ("spin-full-url", &full_url),
        ("spin-matched-route", "/..."),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", "/..."),
        ("spin-component-route", ""),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_forged_client_address_comes_before_the_real_one() {
    let runtime = Start::probe().serve();
    let forged = "spin-client-addr: 6.6.6.6:1\r\nx-forwarded-for: 7.7.7.7\r\n";
    let seen = headers(&runtime, "/headers", forged);
    let [forged, real] = values(&seen, "spin-client-addr")[..] else {
        panic!("two addresses: {seen:?}");
    };
    assert_eq!(forged, "6.6.6.6:1");
    assert!(real.starts_with("127.0.0.1:"), "{real}");
    assert_eq!(values(&seen, "x-forwarded-for"), ["7.7.7.7"]);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn route_parameters_and_the_rest_of_the_path_are_headers() {
    let runtime = Start::probe().serve();
    let seen = headers(&runtime, "/users/7/diaries/headers", "");
    assert_eq!(values(&seen, "spin-path-match-user-id"), ["7"]);
    assert_eq!(values(&seen, "spin-path-info"), ["/headers"]);
    let route = values(&seen, "spin-component-route");
    assert_eq!(route, ["/users/:user_id/diaries"]);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_header_value_that_is_not_utf8_is_an_empty_500() {
    let runtime = Start::probe().serve();
    let request = b"GET /headers HTTP/1.1\r\nhost: a\r\nx-odd: \xff\r\n\r\n";
    let response = send_raw(runtime.address, request).expect("the host answers");
    assert_eq!((response.status, response.body.len()), (500, 0));
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_request_without_host_closes_the_connection() {
    let runtime = Start::probe().serve();
    let response = send_raw(runtime.address, b"GET /headers HTTP/1.1\r\n\r\n");
    assert!(response.is_err(), "{response:?}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_error_and_a_trap_are_an_empty_500() {
    let runtime = Start::probe().serve();
    for path in ["/error", "/trap"] {
        let response = runtime.get(path);
        assert_eq!((response.status, response.body.len()), (500, 0), "{path}");
    }
    assert_eq!(runtime.get("/health").status, 200);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_path_without_a_route_is_an_empty_404() {
    let runtime = Start::text(&probe_manifest("/health")).serve();
    let response = runtime.get("/elsewhere");
    assert_eq!((response.status, response.body.len()), (404, 0));
    assert_eq!(runtime.get("/health").status, 200);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_host_answers_well_known_paths() {
    let runtime = Start::probe().serve();
    let health = runtime.get("/.well-known/spin/health");
    assert_eq!((health.status, &health.body[..]), (200, &b"OK"[..]));
    let info = runtime.get("/.well-known/spin/info").json();
    assert_eq!(info, json!({ "name": "probe", "version": "1.2.3" }));
    assert_eq!(runtime.get("/.well-known/spin/other").status, 404);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_component_may_stop_reading_a_body() {
    let runtime = Start::probe().serve();
    let body = "x".repeat(300_000);
    let all = runtime.post("/body", &body).json();
    assert_eq!(all, json!({ "bytes": 300_000 }));
    let capped = runtime.post("/body?cap=1000", &body).json();
    let bytes = capped["bytes"].as_u64().expect("a number");
    assert!((1_001..300_000).contains(&bytes), "{bytes}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_slow_request_has_no_timeout() {
    let runtime = Start::probe().serve();
    let mut stream = TcpStream::connect(runtime.address).expect("the host listens");
    let head = "POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the host reads");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    stream.write_all(b"slow").expect("the host still reads");
    let response = read_response(&stream).expect("the host answers");
    assert_eq!(response.json(), json!({ "bytes": 4 }));
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_chunked_request_shows_its_transfer_encoding() {
    let runtime = Start::probe().serve();
    let request = b"POST /headers HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let response = send_raw(runtime.address, request).expect("the host answers");
    let headers = &response.json()["headers"];
    assert_eq!(
        headers[1],
        json!(["transfer-encoding", "chunked"]),
        "{headers}"
    );
    assert_eq!(headers[0], Value::from(vec!["host", "a"]));
}
