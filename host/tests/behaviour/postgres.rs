//! `spin:postgres`: the pool, transactions, types and errors.

use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::{Runtime, Start, authority, setting};

/// The rows of a query, each value as the probe shows it.
fn rows(runtime: &Runtime, query: &str) -> Vec<Vec<String>> {
    let answer = runtime.post("/pg/query", query).json();
    let rows = answer["rows"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("{query}: {answer}"));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    rows.iter()
        .map(|row| row.as_array().into_iter().flatten().map(text).collect())
        .collect()
}

fn execute(runtime: &Runtime, statement: &str) -> String {
    String::from_utf8_lossy(&runtime.post("/pg/execute", statement).body).into_owned()
}

#[test]
fn every_type_goes_there_and_back() {
    let runtime = Start::probe().serve();
    let answer = runtime.get("/pg/parameters").json();
    let json = br#"{"a":null,"b":[1,2.5]}"#;
    let expected = [
        "Boolean(true)".to_owned(),
        "Int16(-2)".to_owned(),
        "Int32(3)".to_owned(),
        "Int64(-4)".to_owned(),
        "Floating32(1.5)".to_owned(),
        "Floating64(-2.5)".to_owned(),
        "Str(\"text\")".to_owned(),
        "Binary([0, 255])".to_owned(),
        "Date((2026, 2, 28))".to_owned(),
        "Time((1, 2, 3, 4000))".to_owned(),
        "Datetime((2026, 2, 28, 1, 2, 3, 4000))".to_owned(),
        "Uuid(\"67e55044-10b1-426f-9247-bb680e5fe0c8\")".to_owned(),
        format!("Jsonb({json:?})"),
        "Decimal(\"12.340\")".to_owned(),
        "RangeInt32((Some((1, RangeBoundKind::Inclusive)), None))".to_owned(),
        "RangeDecimal((Some((\"1.5\", RangeBoundKind::Exclusive)), Some((\"2.5\", RangeBoundKind::Inclusive))))".to_owned(),
        "ArrayInt32([Some(1), None])".to_owned(),
        "ArrayStr([Some(\"a\"), None])".to_owned(),
        "ArrayDecimal([Some(\"1.10\"), None])".to_owned(),
        "Interval(Interval { micros: 1, days: 2, months: 3 })".to_owned(),
        "DbNull".to_owned(),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|value| format!("DbValue::{value}"))
        .collect();
    assert_eq!(answer["rows"], serde_json::json!([expected]));
}

#[test]
fn a_timestamptz_cannot_be_read() {
    let runtime = Start::probe().serve();
    let error = runtime.post("/pg/query", "select now()").error();
    assert!(error.contains("QueryFailed(QueryError::Text("), "{error}");
    assert!(
        error.contains("cannot convert between the Rust type"),
        "{error}"
    );
    assert!(error.contains("NaiveDateTime"), "{error}");
    assert_eq!(
        rows(&runtime, "select now()::timestamp is null"),
        [["DbValue::Boolean(false)"]]
    );
}

#[test]
fn a_type_without_a_case_comes_as_bytes() {
    let runtime = Start::probe().serve();
    let answer = runtime
        .post("/pg/query", "select '1.2.3.4'::inet as address")
        .json();
    let expected = serde_json::json!({
        "columns": [["address", "DbDataType::Other(\"inet\")"]],
        "rows": [["DbValue::Unsupported([2, 32, 0, 4, 1, 2, 3, 4])"]],
    });
    assert_eq!(answer, expected);
}

#[test]
fn columns_are_known_only_with_a_row() {
    let runtime = Start::probe().serve();
    let none = runtime
        .post("/pg/query", "select 1 as one where false")
        .json();
    assert_eq!(none, serde_json::json!({ "columns": [], "rows": [] }));
}

#[test]
fn a_violated_constraint_comes_with_sqlstate_and_name() {
    let runtime = Start::probe().serve();
    execute(&runtime, "create schema if not exists probe");
    let create = "create table if not exists probe.positive \
        (n int constraint only_positive check (n > 0))";
    execute(&runtime, create);
    let insert = "insert into probe.positive values (-1) returning n";
    for target in ["/pg/query", "/pg/execute"] {
        let error = runtime.post(target, insert).error();
        assert!(error.contains("QueryError::DbError"), "{error}");
        assert!(error.contains("code: \"23514\""), "{error}");
        assert!(
            error.contains("(\"constraint\", \"only_positive\")"),
            "{error}"
        );
        assert!(error.contains("(\"table\", \"positive\")"), "{error}");
    }
    // The blocking function loses the structure of errors that come with the rows.
    let error = runtime.post("/pg/query-blocking", insert).error();
    assert!(
        error.starts_with("Error::QueryFailed(QueryError::Text("),
        "{error}"
    );
    assert!(error.contains("23514"), "{error}");
}

#[test]
fn a_statement_that_cannot_be_prepared_fails_at_once() {
    let runtime = Start::probe().serve();
    for target in ["/pg/query", "/pg/query-blocking", "/pg/execute"] {
        let error = runtime.post(target, "selec 1").error();
        assert!(error.contains("code: \"42601\""), "{target}: {error}");
    }
}

#[test]
fn a_transaction_left_open_is_handed_on() {
    let runtime = Start::probe().serve();
    // One after the other, so that all of them get the pool's only connection.
    let is_open = "select now() < statement_timestamp() - interval '50 ms'";
    assert_eq!(execute(&runtime, "begin"), "{\"rows\":0}");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(rows(&runtime, is_open), [["DbValue::Boolean(true)"]]);
    execute(&runtime, "rollback");
    assert_eq!(rows(&runtime, is_open), [["DbValue::Boolean(false)"]]);
}

#[test]
fn session_settings_are_not_handed_on() {
    let runtime = Start::probe().serve();
    execute(&runtime, "set application_name to 'left over'");
    let name = rows(&runtime, "select current_setting('application_name')");
    assert_eq!(name, [["DbValue::Str(\"\")"]]);
}

#[test]
fn an_empty_pool_of_64_is_waited_for() {
    let runtime = Start::probe().serve();
    let start = Instant::now();
    let longest = thread::scope(|scope| {
        let hold = || scope.spawn(|| (runtime.get("/pg/hold?ms=1500"), start.elapsed()));
        let held: Vec<_> = (0..65).map(|_| hold()).collect();
        thread::sleep(Duration::from_millis(900));
        let held = held
            .into_iter()
            .map(|thread| thread.join().expect("it answers"));
        let finished = held.map(|(answer, elapsed)| {
            assert_eq!(answer.body, b"{}", "{answer:?}");
            elapsed
        });
        finished.max().unwrap_or_default()
    });
    assert!(
        longest > Duration::from_millis(3000),
        "the last one waited: {longest:?}"
    );
}

#[test]
fn the_runtime_configuration_limits_connections() {
    let start = Start::probe()
        .file("runtime.toml", "[outbound_pg]\nmax_connections = 1\n")
        .option("--runtime-config-file", "runtime.toml");
    let runtime = start.serve();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(runtime.get("/pg/hold?ms=300").body, b"{}"));
        }
    });
    assert!(start.elapsed() > Duration::from_millis(900));
}

#[test]
fn an_address_that_is_not_allowed_is_denied_and_told() {
    let runtime = Start::probe().serve();
    let target = "/pg/query?address=postgres://postgres@127.0.0.1:1/x";
    let error = runtime.post(target, "select 1").error();
    assert!(
        error.contains("address postgres://127.0.0.1:1 is not permitted"),
        "{error}"
    );
    runtime.wait_for_output("add 'allowed_outbound_hosts = [\"postgres://127.0.0.1:1\"]'");
    // The guest component may reach nothing at all.
    let error = runtime
        .post("/users/7/diaries/pg/query", "select 1")
        .error();
    let refused = format!(
        "address postgres://{} is not permitted",
        authority(&setting("TEST_DATABASE_URL"))
    );
    assert!(error.contains(&refused), "{error}");
}

#[test]
fn an_address_that_makes_no_sense_is_an_error() {
    let runtime = Start::probe().serve();
    let error = runtime
        .post("/pg/query?address=nonsense", "select 1")
        .error();
    assert!(
        error.contains("ConnectionFailed(\"invalid connection string\")"),
        "{error}"
    );
    let socket = "/pg/query?address=postgres://me@%252Ftmp/x";
    let error = runtime.post(socket, "select 1").error();
    assert!(error.contains("Unix sockets are not supported"), "{error}");
}

#[test]
fn the_list_of_the_bench_needs_one_statement() {
    let runtime = Start::probe().serve();
    execute(&runtime, "create schema if not exists bench");
    execute(
        &runtime,
        "create table if not exists bench.thought_diaries (id int, user_id int, content text, \
         analyzed_content text, positive_count int, negative_count int, \
         created_at timestamp default now(), updated_at timestamp default now())",
    );
    execute(&runtime, "delete from bench.thought_diaries");
    execute(
        &runtime,
        "insert into bench.thought_diaries (id, user_id, content) \
         select n, 1, 'entry ' || n from generate_series(1, 12) n",
    );
    let url = setting("TEST_DATABASE_URL");
    let separator = if url.contains('?') { '&' } else { '?' };
    let address = format!("{url}{separator}options=-csearch_path%3Dbench");
    let address = address.replace('%', "%25").replace('&', "%26");
    let list = runtime
        .get(&format!("/pg?user_id=1&address={address}"))
        .json();
    let ids: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|d| d["id"].as_i64())
        .collect();
    let expected: Vec<_> = (3..=12).rev().map(Some).collect();
    assert_eq!(ids, expected, "{list}");
}
