//! `spin:postgres`: the pool, transactions, types and errors.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::runtime::{Runtime, Start, authority, setting};

/// Returns the only value of a query as the probe prints it.
fn value(runtime: &Runtime, query: &str) -> String {
    let response = runtime.post("/pg/query", query).json();
    let value = response["rows"][0][0].as_str();
    value
        .unwrap_or_else(|| panic!("{query}: {response}"))
        .to_owned()
}

/// Runs a statement that returns no rows.
fn execute(runtime: &Runtime, statement: &str) {
    let response = runtime.post("/pg/query", statement).json();
    assert_eq!(
        response,
        json!({ "columns": [], "rows": [] }),
        "{statement}"
    );
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sends_and_reads_the_types_that_the_service_uses() {
    let runtime = Start::probe().serve();
    let response = runtime.get("/pg/parameters").json();
    let column = |name: &str, of: &str| json!([name, format!("DbDataType::{of}")]);
    let expected = json!({
        "columns": [
            column("bool", "Boolean"),
            column("int2", "Int16"),
            column("int4", "Int32"),
            column("int8", "Int64"),
            column("float4", "Floating32"),
            column("float8", "Floating64"),
            column("text", "Str"),
            column("bytea", "Binary"),
            column("timestamp", "Datetime"),
            column("uuid", "Uuid"),
            column("text", "Str"),
        ],
        "rows": [[
            "DbValue::Boolean(true)",
            "DbValue::Int16(-2)",
            "DbValue::Int32(3)",
            "DbValue::Int64(-4)",
            "DbValue::Floating32(1.5)",
            "DbValue::Floating64(-2.5)",
            "DbValue::Str(\"text\")",
            "DbValue::Binary([0, 255])",
            "DbValue::Datetime((2026, 2, 28, 1, 2, 3, 4000))",
            "DbValue::Uuid(\"67e55044-10b1-426f-9247-bb680e5fe0c8\")",
            "DbValue::DbNull",
        ]],
    });
    assert_eq!(response, expected);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn reading_a_timestamptz_fails() {
    let runtime = Start::probe().serve();
    let error = runtime.post("/pg/query", "select now()").error();
    assert!(error.contains("QueryFailed(QueryError::Text("), "{error}");
    assert!(
        error.contains("cannot convert between the Rust type"),
        "{error}"
    );
    assert!(error.contains("NaiveDateTime"), "{error}");
    let is_null = value(&runtime, "select now()::timestamp is null");
    assert_eq!(is_null, "DbValue::Boolean(false)");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_result_without_rows_has_no_columns() {
    let runtime = Start::probe().serve();
    execute(&runtime, "select 1 as one where false");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn returns_rows_in_order() {
    let runtime = Start::probe().serve();
    let response = runtime.post("/pg/query", "select * from generate_series(1, 100)");
    let rows = (1..=100).map(|n| json!([format!("DbValue::Int32({n})")]));
    assert_eq!(response.json()["rows"], rows.collect::<Value>());
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_violated_constraint_has_its_sqlstate_and_name() {
    let runtime = Start::probe().serve();
    execute(&runtime, "create schema if not exists probe");
    let table = "create table if not exists probe.positive \
        (n int constraint only_positive check (n > 0))";
    execute(&runtime, table);
    let insert = "insert into probe.positive values (-1) returning n";
    let error = runtime.post("/pg/query", insert).error();
    for part in [
        "QueryError::DbError",
        "code: \"23514\"",
        "(\"constraint\", \"only_positive\")",
        "(\"table\", \"positive\")",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_invalid_statement_has_its_sqlstate() {
    let runtime = Start::probe().serve();
    let error = runtime.post("/pg/query", "selec 1").error();
    assert!(error.contains("code: \"42601\""), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_next_request_gets_an_open_transaction() {
    let runtime = Start::probe().serve();
    // Sequential requests get the only connection in the pool.
    let is_open = "select now() < statement_timestamp() - interval '50 ms'";
    execute(&runtime, "begin");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(value(&runtime, is_open), "DbValue::Boolean(true)");
    execute(&runtime, "rollback");
    assert_eq!(value(&runtime, is_open), "DbValue::Boolean(false)");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_next_request_does_not_get_session_settings() {
    let runtime = Start::probe().serve();
    execute(&runtime, "set application_name to 'left over'");
    let name = value(&runtime, "select current_setting('application_name')");
    assert_eq!(name, "DbValue::Str(\"\")");
}

/// Sends requests at once that each hold a connection, and returns the time until all have finished.
fn hold_connections(runtime: &Runtime, requests: usize, ms: u32) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..requests {
            scope.spawn(|| {
                let response = runtime.get(&format!("/pg/hold?ms={ms}"));
                assert_eq!(response.json(), json!({}));
            });
        }
    });
    start.elapsed()
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_request_waits_while_all_64_connections_are_in_use() {
    let runtime = Start::probe().serve();
    let elapsed = hold_connections(&runtime, 65, 1500);
    assert!(elapsed > Duration::from_millis(3000), "{elapsed:?}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_runtime_configuration_limits_connections() {
    let start = Start::probe().runtime_config("[outbound_pg]\nmax_connections = 1\n");
    let elapsed = hold_connections(&start.serve(), 3, 300);
    assert!(elapsed > Duration::from_millis(900), "{elapsed:?}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn denies_an_address_that_is_not_allowed_and_prints_how_to_allow_it() {
    let runtime = Start::probe().serve();
    let target = "/pg/query?address=postgres://postgres@127.0.0.1:1/x";
    let error = runtime.post(target, "select 1").error();
    let denied = "address postgres://127.0.0.1:1 is not permitted";
    assert!(error.contains(denied), "{error}");
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"postgres://127.0.0.1:1\"]'");
    // The guest component is allowed nothing.
    let target = "/users/7/diaries/pg/query";
    let error = runtime.post(target, "select 1").error();
    let server = authority(&setting("TEST_DATABASE_URL"));
    let denied = format!("address postgres://{server} is not permitted");
    assert!(error.contains(&denied), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn rejects_an_invalid_address() {
    let runtime = Start::probe().serve();
    for (address, expected) in [
        (
            "nonsense",
            "ConnectionFailed(\"invalid connection string\")",
        ),
        ("postgres://me@%252Ftmp/x", "Unix sockets are not supported"),
    ] {
        let target = format!("/pg/query?address={address}");
        let error = runtime.post(&target, "select 1").error();
        assert!(error.contains(expected), "{error}");
    }
}

/// The benchmark compares the service's list with this route of the probe.
#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_probe_lists_the_newest_diaries() {
    let runtime = Start::probe().serve();
    for statement in [
        "create schema if not exists bench",
        "create table if not exists bench.thought_diaries (id int, user_id int, content text, \
         analyzed_content text, positive_count int, negative_count int, \
         created_at timestamp default now(), updated_at timestamp default now())",
        "delete from bench.thought_diaries",
        "insert into bench.thought_diaries (id, user_id, content) \
         select n, 1, 'entry ' || n from generate_series(1, 12) n",
    ] {
        execute(&runtime, statement);
    }
    let mut address: url::Url = setting("TEST_DATABASE_URL").parse().expect("a URL");
    address.set_query(Some("options=-csearch_path%3Dbench"));
    let address = address.as_str().replace('%', "%25");
    let list = runtime
        .get(&format!("/pg?user_id=1&address={address}"))
        .json();
    let ids = list.as_array().expect("a list").iter();
    let ids: Vec<_> = ids.map(|diary| diary["id"].clone()).collect();
    assert_eq!(ids, (3..=12).rev().map(Value::from).collect::<Vec<_>>());
}
