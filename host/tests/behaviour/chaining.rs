//! Calls between components: only where they are allowed, and private components only so.

use serde_json::Value;

use crate::client::send_raw;
use crate::runtime::{Runtime, Start};

/// What the private component saw of a call by the probe.
fn seen(runtime: &Runtime, method: &str, path: &str, body: &str) -> Value {
    let target = format!("/fetch?url=http://hidden.spin.internal{path}");
    let answer = runtime.request(method, &target, "", body).json();
    assert_eq!(answer["status"], 200, "{answer}");
    let text = answer["body"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn a_private_component_is_called_in_process() {
    let runtime = Start::probe().serve();
    let seen = seen(&runtime, "POST", "/headers?c=d", "hello");
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["uri"], "http://hidden.spin.internal/headers?c=d");
    let expected = serde_json::json!([
        ["x-probe", "fetch"],
        ["content-length", "5"],
        ["spin-path-info", "/headers"],
        ["spin-full-url", "http://localhost/headers?c=d"],
        ["spin-matched-route", "/..."],
        ["spin-base-path", "/"],
        ["spin-raw-component-route", "/..."],
        ["spin-component-route", ""],
        ["spin-client-addr", "0.0.0.0:0"],
    ]);
    assert_eq!(seen["headers"], expected);
}

#[test]
fn bodies_pass_in_both_directions() {
    let runtime = Start::probe().serve();
    let body = "x".repeat(200_000);
    assert_eq!(seen(&runtime, "POST", "/body", &body)["bytes"], 200_000);
}

#[test]
fn a_trap_of_the_callee_is_a_500_for_the_caller() {
    let runtime = Start::probe().serve();
    for path in ["/trap", "/error"] {
        let target = format!("/fetch?url=http://hidden.spin.internal{path}");
        let answer = runtime.get(&target).json();
        assert_eq!(
            answer,
            serde_json::json!({ "status": 500, "body": "" }),
            "{path}"
        );
    }
}

#[test]
fn a_component_that_is_not_allowed_cannot_call_another() {
    let runtime = Start::probe().serve();
    let target = "/users/7/diaries/fetch?url=http://hidden.spin.internal/health";
    assert_eq!(runtime.get(target).error(), "ErrorCode::HttpRequestDenied");
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"http://hidden.spin.internal\"]'");
}

#[test]
fn the_permission_names_scheme_component_and_port() {
    let runtime = Start::probe().serve();
    for url in [
        "https://hidden.spin.internal/health",
        "http://hidden.spin.internal:81/health",
        "http://guest.spin.internal/health",
        "http://nobody.spin.internal/health",
    ] {
        let answer = runtime.get(&format!("/fetch?url={url}"));
        assert_eq!(answer.error(), "ErrorCode::HttpRequestDenied", "{url}");
    }
}

#[test]
fn a_private_component_cannot_be_reached_from_outside() {
    let runtime = Start::probe().serve();
    let request = b"GET /health HTTP/1.1\r\nhost: hidden.spin.internal\r\n\r\n";
    let answer = send_raw(runtime.address, request);
    assert!(answer.is_err(), "{answer:?}");
    let request = b"GET http://hidden.spin.internal/environment?name=PROBE HTTP/1.1\r\n\
        host: hidden.spin.internal\r\nconnection: close\r\n\r\n";
    // With the name in the request line it is answered by whoever has the path's route.
    let answer = send_raw(runtime.address, request).expect("an answer");
    assert_eq!(answer.json()["value"], "set in the manifest");
}

#[test]
fn the_application_calls_itself_where_allowed() {
    let runtime = Start::probe().serve();
    let answer = runtime.get("/fetch?url=http://self.alt/health").json();
    assert_eq!(answer["status"], 200, "{answer}");
    let denied = runtime.get("/users/7/diaries/fetch?url=http://self.alt/health");
    assert_eq!(denied.error(), "ErrorCode::HttpRequestDenied");
}
