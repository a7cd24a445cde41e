//! `spin:variables`, and where the values come from.

use serde_json::json;

use crate::runtime::Start;

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_command_line_precedes_the_environment_precedes_dotenv_precedes_the_default() {
    let greeting = |start: Start| start.serve().get("/variable?name=greeting").json();
    let dotenv = || Start::probe().file(".env", "SPIN_VARIABLE_GREETING=\"from dotenv\"\n");
    let environment = || dotenv().environment("SPIN_VARIABLE_GREETING", "from the environment");
    let command_line = environment().variable("greeting", "from the command line");
    for (start, expected) in [
        (Start::probe(), "hello, world"),
        (dotenv(), "from dotenv, world"),
        (environment(), "from the environment, world"),
        (command_line, "from the command line, world"),
    ] {
        assert_eq!(greeting(start), json!({ "value": expected }));
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_component_reads_only_its_own_variables() {
    let runtime = Start::probe().serve();
    for name in ["database_host", "nowhere"] {
        let error = runtime.get(&format!("/variable?name={name}")).error();
        assert!(error.starts_with("Error::Undefined("), "{error}");
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_value_is_read_from_the_file_after_an_at_sign() {
    let start = Start::probe().file("secret", "line one\nline two\n");
    let runtime = start.variable("greeting", "@secret").serve();
    let value = runtime.get("/variable?name=greeting").json();
    assert_eq!(value, json!({ "value": "line one\nline two\n, world" }));
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_the_file_of_a_value_that_is_missing() {
    let error = Start::probe().variable("greeting", "@nowhere").fail();
    assert!(error.contains("nowhere"), "{error}");
}
