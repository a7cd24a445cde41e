//! Calls from component to component.

use serde_json::{Value, json};

use crate::client::send_raw;
use crate::runtime::{Runtime, Start};

/// Has the probe call the private component, and returns that component's response.
fn call_hidden(runtime: &Runtime, path: &str, body: &str) -> Value {
    let target = format!("/fetch?url=http://hidden.spin.internal{path}");
    let response = runtime.post(&target, body).json();
    assert_eq!(response["status"], 200, "{response}");
    let body = response["body"].as_str().unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body}"))
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_private_component_can_be_called_by_another() {
    let runtime = Start::probe().serve();
    let seen = call_hidden(&runtime, "/headers?c=d", "hello");
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["uri"], "http://hidden.spin.internal/headers?c=d");
    let expected = json!([
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
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_call_passes_a_large_body() {
    let runtime = Start::probe().serve();
    let seen = call_hidden(&runtime, "/body", &"x".repeat(200_000));
    assert_eq!(seen, json!({ "bytes": 200_000 }));
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_trap_in_the_called_component_is_a_500_for_the_caller() {
    let runtime = Start::probe().serve();
    for path in ["/trap", "/error"] {
        let target = format!("/fetch?url=http://hidden.spin.internal{path}");
        let response = runtime.get(&target).json();
        assert_eq!(response, json!({ "status": 500, "body": "" }), "{path}");
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_component_without_permission_cannot_call_another() {
    let runtime = Start::probe().serve();
    let target = "/users/7/diaries/fetch?url=http://hidden.spin.internal/health";
    assert_eq!(runtime.get(target).error(), "ErrorCode::HttpRequestDenied");
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"http://hidden.spin.internal\"]'");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_permission_is_for_one_scheme_component_and_port() {
    let runtime = Start::probe().serve();
    for url in [
        "https://hidden.spin.internal/health",
        "http://hidden.spin.internal:81/health",
        "http://guest.spin.internal/health",
        "http://nobody.spin.internal/health",
    ] {
        let response = runtime.get(&format!("/fetch?url={url}"));
        assert_eq!(response.error(), "ErrorCode::HttpRequestDenied", "{url}");
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_private_component_cannot_be_reached_from_outside() {
    let runtime = Start::probe().serve();
    let request = b"GET /health HTTP/1.1\r\nhost: hidden.spin.internal\r\n\r\n";
    let response = send_raw(runtime.address, request);
    assert!(response.is_err(), "{response:?}");
    // With the name in the request line, the component with the path's route answers.
    let request = b"GET http://hidden.spin.internal/variable?name=greeting HTTP/1.1\r\n\
        host: hidden.spin.internal\r\nconnection: close\r\n\r\n";
    let response = send_raw(runtime.address, request).expect("the probe answers");
    assert_eq!(response.json(), json!({ "value": "hello, world" }));
}
