//! Variables: which source wins, templates, and what a component cannot read.

use crate::runtime::Start;

#[test]
fn the_command_line_wins_over_the_environment_over_dotenv_over_the_default() {
    let greeting = |start: Start| {
        let answer = start.serve().get("/variable?name=greeting").json();
        answer["value"].as_str().unwrap_or_default().to_owned()
    };
    let dotenv = |start: Start| start.file(".env", "SPIN_VARIABLE_GREETING=\"from dotenv\"\n");
    let both = |start: Start| dotenv(start).environment("SPIN_VARIABLE_GREETING", "from env");
    assert_eq!(greeting(Start::probe()), "hello, world");
    assert_eq!(greeting(dotenv(Start::probe())), "from dotenv, world");
    assert_eq!(greeting(both(Start::probe())), "from env, world");
    let all = both(Start::probe()).variable("greeting", "from the command line");
    assert_eq!(greeting(all), "from the command line, world");
}

#[test]
fn a_provider_wins_over_the_environment() {
    let start = Start::probe()
        .environment("SPIN_VARIABLE_GREETING", "from env")
        .file(
            "runtime.toml",
            "[[variables_provider]]\ntype = \"static\"\nvalues = { greeting = \"provided\" }\n",
        )
        .option("--runtime-config-file", "runtime.toml");
    let answer = start.serve().get("/variable?name=greeting").json();
    assert_eq!(answer["value"], "provided, world");
}

#[test]
fn a_component_reads_only_its_own_variables() {
    let runtime = Start::probe().serve();
    let error = |name: &str| runtime.get(&format!("/variable?name={name}")).error();
    assert!(error("database_host").contains("Undefined"));
    assert!(error("nowhere").contains("Undefined"));
    assert!(error("Wrong-Name").contains("InvalidName"));
}

#[test]
fn the_environment_of_a_component_is_the_manifests() {
    let runtime = Start::probe().environment("OUTSIDE", "1").serve();
    let value = |name: &str| runtime.get(&format!("/environment?name={name}")).json();
    assert_eq!(value("PROBE")["value"], "set in the manifest");
    assert!(value("OUTSIDE")["value"].is_null());
}
