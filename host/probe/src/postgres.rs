//! `spin:postgres`.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::pg::{Certificate, Connection, DbValue, Error, OpenOptions, ParameterValue};
use spin_sdk::variables;

use crate::{failure, number, parameter};

/// The ten newest diaries of a user, as JSON that the server builds: the least that a list costs.
const NEWEST_DIARIES: &str = "-- newest_diaries()
select coalesce(json_agg(d order by d.created_at desc, d.id desc), '[]')::text
from (
    select id, user_id, content, analyzed_content, positive_count, negative_count, created_at, updated_at
    from thought_diaries
    where user_id = $1
    order by created_at desc, id desc
    limit 10
) d";

/// Connects to `address`, or to the variable `database_url`. Trusts `root_certificate` as well.
async fn connect(request: &Request) -> Result<Connection, Error> {
    let address = match parameter(request, "address") {
        Some(address) => address,
        None => variables::get("database_url").await.unwrap_or_default(),
    };
    match parameter(request, "root_certificate") {
        None => Connection::open(address).await,
        Some(pem) => {
            let ca_root = Some(Certificate::Text(pem));
            Connection::open_with_options(address, OpenOptions { ca_root }).await
        }
    }
}

/// Returns the newest diaries of `user_id`, with one open and one statement.
pub async fn newest_diaries(request: &Request) -> Result<String, Error> {
    let user = i32::try_from(number(request, "user_id")).unwrap_or_default();
    let connection = connect(request).await?;
    let result = connection.query(NEWEST_DIARIES, vec![ParameterValue::Int32(user)]);
    let rows = result.await?.collect().await?;
    let json: Option<String> = rows.first().and_then(|row| row.get("coalesce"));
    Ok(json.unwrap_or_default())
}

/// Runs the statement in the body.
pub async fn query(request: Request) -> Value {
    let result = async {
        let connection = connect(&request).await?;
        let statement = request.into_body().collect().await.unwrap_or_default();
        let statement = String::from_utf8_lossy(&statement.to_bytes()).into_owned();
        run(&connection, &statement, vec![]).await
    };
    result.await.unwrap_or_else(failure)
}

/// Sends a parameter of each type that the service uses and returns what the server made of it.
pub async fn parameters(request: &Request) -> Value {
    let parameters = vec![
        ParameterValue::Boolean(true),
        ParameterValue::Int16(-2),
        ParameterValue::Int32(3),
        ParameterValue::Int64(-4),
        ParameterValue::Floating32(1.5),
        ParameterValue::Floating64(-2.5),
        ParameterValue::Str("text".to_owned()),
        ParameterValue::Binary(vec![0, 255]),
        ParameterValue::Datetime((2026, 2, 28, 1, 2, 3, 4000)),
        ParameterValue::Uuid("67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned()),
        ParameterValue::DbNull,
    ];
    let statement = "select $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, \
        $8::bytea, $9::timestamp, $10::uuid, $11::text";
    let result = async {
        let connection = connect(request).await?;
        run(&connection, statement, parameters).await
    };
    result.await.unwrap_or_else(failure)
}

/// Returns the columns and rows of a statement, each value as its type prints it.
async fn run(
    connection: &Connection,
    statement: &str,
    parameters: Vec<ParameterValue>,
) -> Result<Value, Error> {
    let mut result = connection.query(statement, parameters).await?;
    let columns: Vec<_> = result
        .columns()
        .iter()
        .map(|column| json!([column.name, format!("{:?}", column.data_type)]))
        .collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    while let Some(row) = result.rows().next().await {
        let text = |value: &DbValue| format!("{value:?}");
        rows.push(row.iter().map(text).collect());
    }
    result.result().await?;
    Ok(json!({ "columns": columns, "rows": rows }))
}

/// Keeps a connection for `ms`.
pub async fn hold(request: &Request) -> Value {
    match connect(request).await {
        Ok(_connection) => {
            spin_sdk::time::sleep(Duration::from_millis(number(request, "ms"))).await;
            json!({})
        }
        Err(error) => failure(error),
    }
}
