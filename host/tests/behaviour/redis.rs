//! `spin:redis`: every function, flattened answers, and errors.

use crate::runtime::{Runtime, Start, authority, setting};

/// The results of a command, one argument a line.
fn results(runtime: &Runtime, command: &str) -> Vec<String> {
    let answer = runtime.post("/redis/execute", command).json();
    let results = answer["results"].as_array();
    let results = results.unwrap_or_else(|| panic!("{command}: {answer}"));
    results
        .iter()
        .map(|result| result.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_function_does_its_command() {
    let runtime = Start::probe().serve();
    let answer = runtime.get("/redis/calls?key=probe:calls").json();
    let wrong_type = "Err(Error::Other(\"WRONGTYPE: \
        Operation against a key holding the wrong kind of value\"))";
    let not_a_number = "Err(Error::Other(\"An error was signalled by the server - \
        ResponseError: value is not an integer or out of range\"))";
    let expected = serde_json::json!([
        "Ok(Some([118, 97, 108, 117, 101]))",
        "Ok(None)",
        "Ok(1)",
        not_a_number,
        "Ok(2)",
        wrong_type,
        "Ok(1)",
        "Ok([\"a\"])",
        "Ok(())",
        wrong_type,
        "Ok(3)",
    ]);
    assert_eq!(answer["calls"], expected, "{answer}");
}

#[test]
fn nested_answers_are_flattened() {
    let runtime = Start::probe().serve();
    let script = "EVAL\nreturn {1, {2, \"x\", false}, {}, redis.status_reply(\"FINE\")}\n#0";
    let expected = [
        "RedisResult::Int64(1)",
        "RedisResult::Int64(2)",
        "RedisResult::Binary([120])",
        "RedisResult::Nil",
        "RedisResult::Status(\"FINE\")",
    ];
    assert_eq!(results(&runtime, script), expected);
}

#[test]
fn any_command_can_be_sent() {
    let runtime = Start::probe().serve();
    let set = "SET\nprobe:any\n#7\nEX\n#10";
    assert_eq!(results(&runtime, set), ["RedisResult::Status(\"OK\")"]);
    assert_eq!(
        results(&runtime, "GET\nprobe:any"),
        ["RedisResult::Binary([55])"]
    );
}

#[test]
fn the_servers_errors_are_text() {
    let runtime = Start::probe().serve();
    let error = |command: &str| runtime.post("/redis/execute", command).error();
    let script = "EVAL\nreturn redis.error_reply(\"MY bad\")\n#0";
    assert_eq!(error(script), "Error::Other(\"MY: bad\")");
    assert!(
        error("NOSUCH").contains("ResponseError: unknown command"),
        "{}",
        error("NOSUCH")
    );
    let missing = "EVALSHA\nffffffffffffffffffffffffffffffffffffffff\n#0";
    assert!(
        error(missing).contains("NoScriptError: No matching script"),
        "{}",
        error(missing)
    );
}

#[test]
fn a_kept_connection_is_shared_by_an_instances_requests() {
    let runtime = Start::probe().serve();
    for _ in 0..3 {
        assert_eq!(runtime.get("/redis").json()["found"], false);
    }
}

#[test]
fn an_address_that_is_not_allowed_is_denied_and_told() {
    let runtime = Start::probe().serve();
    let other = "/redis/execute?address=redis://127.0.0.1:1";
    assert_eq!(runtime.post(other, "PING").error(), "Error::InvalidAddress");
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"redis://127.0.0.1:1\"]'");
    let guest = runtime.post("/users/7/diaries/redis/execute", "PING");
    assert_eq!(guest.error(), "Error::InvalidAddress");
    let redis = authority(&setting("TEST_REDIS_URL"));
    runtime.wait_for_output(&format!(
        "add 'allowed_outbound_hosts = [\"redis://{redis}\"]'"
    ));
}
