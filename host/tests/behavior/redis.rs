//! `spin:redis`: commands, flattened replies, and errors.

use crate::runtime::{Runtime, Start, authority, setting};

/// Returns the results of a command, which has one argument per line.
fn execute(runtime: &Runtime, command: &str) -> Vec<String> {
    let response = runtime.post("/redis", command).json();
    let results = response["results"].as_array();
    let results = results
        .unwrap_or_else(|| panic!("{command}: {response}"))
        .iter();
    results
        .map(|result| result.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sends_any_command() {
    let runtime = Start::probe().serve();
    let set = "SET\nprobe:any\n#7\nEX\n#10";
    assert_eq!(execute(&runtime, set), ["RedisResult::Status(\"OK\")"]);
    let get = execute(&runtime, "GET\nprobe:any");
    assert_eq!(get, ["RedisResult::Binary([55])"]);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn flattens_nested_replies() {
    let runtime = Start::probe().serve();
    let script = "EVAL\nreturn {1, {2, \"x\", false}, {}, redis.status_reply(\"FINE\")}\n#0";
    let expected = [
        "RedisResult::Int64(1)",
        "RedisResult::Int64(2)",
        "RedisResult::Binary([120])",
        "RedisResult::Nil",
        "RedisResult::Status(\"FINE\")",
    ];
    assert_eq!(execute(&runtime, script), expected);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_error_of_the_server_is_text() {
    let runtime = Start::probe().serve();
    let error = runtime.post("/redis", "NOSUCH").error();
    assert!(error.starts_with("Error::Other("), "{error}");
    assert!(error.contains("unknown command"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_requests_of_an_instance_share_a_connection() {
    let runtime = Start::probe().serve();
    let first = execute(&runtime, "CLIENT\nID");
    assert_eq!(execute(&runtime, "CLIENT\nID"), first);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn each_open_makes_a_new_connection() {
    let runtime = Start::probe().serve();
    let target = format!("/redis?address={}", setting("TEST_REDIS_URL"));
    let id = || runtime.post(&target, "CLIENT\nID").json()["results"].clone();
    assert_ne!(id(), id());
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn denies_an_address_that_is_not_allowed_and_prints_how_to_allow_it() {
    let runtime = Start::probe().serve();
    let target = "/redis?address=redis://127.0.0.1:1";
    assert_eq!(
        runtime.post(target, "PING").error(),
        "Error::InvalidAddress"
    );
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"redis://127.0.0.1:1\"]'");
    // The guest component is allowed nothing.
    let response = runtime.post("/users/7/diaries/redis", "PING");
    assert_eq!(response.error(), "Error::InvalidAddress");
    let server = authority(&setting("TEST_REDIS_URL"));
    runtime.wait_for_output(&format!(
        "add 'allowed_outbound_hosts = [\"redis://{server}\"]'"
    ));
}
