//! `spin:postgres`: one statement per request, and all that can be asked about types and errors.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::pg::wit::postgres::Connection as BlockingConnection;
use spin_sdk::pg::{Column, Connection, DbValue, Error, Interval, ParameterValue, RangeBoundKind};
use spin_sdk::variables;

use crate::{Answer, answer, failure, number, parameter};

/// The ten newest diaries of a user as the server's own JSON: the least that a list costs.
const NEWEST_DIARIES: &str = "-- newest_diaries()
select coalesce(json_agg(d order by d.created_at desc, d.id desc), '[]')::text
from (
    select id, user_id, content, analyzed_content, positive_count, negative_count, created_at, updated_at
    from thought_diaries
    where user_id = $1
    order by created_at desc, id desc
    limit 10
) d";

/// Where to connect: `?address=`, or the variable `database_url`.
async fn address(request: &Request) -> String {
    match parameter(request, "address") {
        Some(address) => address,
        None => variables::get("database_url").await.unwrap_or_default(),
    }
}

/// One open, one statement: `?user_id=` has its newest diaries listed.
pub async fn newest_diaries(request: &Request) -> Answer {
    let user = i32::try_from(number(request, "user_id")).unwrap_or_default();
    let found = async {
        let connection = Connection::open(address(request).await).await?;
        let parameters = vec![ParameterValue::Int32(user)];
        connection
            .query(NEWEST_DIARIES, parameters)
            .await?
            .collect()
            .await
    };
    match found.await {
        Ok(rows) => {
            let text: Option<String> = rows.first().and_then(|row| row.get("coalesce"));
            answer(text.unwrap_or_default().into())
        }
        Err(error) => {
            let mut answer = answer(failure(error).to_string().into());
            *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

async fn statement(request: Request) -> String {
    match request.into_body().collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn shown(columns: &[Column], rows: &[Vec<DbValue>]) -> Value {
    let columns: Vec<_> = columns
        .iter()
        .map(|column| json!([column.name, format!("{:?}", column.data_type)]))
        .collect();
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|value| format!("{value:?}")).collect())
        .collect();
    json!({ "columns": columns, "rows": rows })
}

/// Runs the query in the body.
pub async fn query(request: Request) -> Value {
    let address = address(&request).await;
    let found = async {
        let connection = Connection::open(address).await?;
        let mut result = connection.query(statement(request).await, vec![]).await?;
        let columns = result.columns().to_vec();
        let mut rows = Vec::new();
        while let Some(row) = result.rows().next().await {
            rows.push(row);
        }
        result.result().await?;
        Ok::<_, Error>(shown(&columns, &rows))
    };
    found.await.unwrap_or_else(failure)
}

/// Runs the query in the body through the functions that block the instance.
pub async fn query_blocking(request: Request) -> Value {
    let address = address(&request).await;
    let statement = statement(request).await;
    let connection = match BlockingConnection::open(&address) {
        Ok(connection) => connection,
        Err(error) => return failure(error),
    };
    match connection.query(&statement, &[]) {
        Ok(set) => shown(&set.columns, &set.rows),
        Err(error) => failure(error),
    }
}

/// Runs the statement in the body and tells how many rows it changed.
pub async fn execute(request: Request) -> Value {
    let address = address(&request).await;
    let changed = async {
        let connection = Connection::open(address).await?;
        connection.execute(statement(request).await, vec![]).await
    };
    match changed.await {
        Ok(rows) => json!({ "rows": rows }),
        Err(error) => failure(error),
    }
}

/// Sends a parameter of every type and has the server return them.
pub async fn parameters(request: &Request) -> Value {
    let bound = |value: &str, kind| Some((value.to_owned(), kind));
    let parameters = vec![
        ParameterValue::Boolean(true),
        ParameterValue::Int16(-2),
        ParameterValue::Int32(3),
        ParameterValue::Int64(-4),
        ParameterValue::Floating32(1.5),
        ParameterValue::Floating64(-2.5),
        ParameterValue::Str("text".to_owned()),
        ParameterValue::Binary(vec![0, 255]),
        ParameterValue::Date((2026, 2, 28)),
        ParameterValue::Time((1, 2, 3, 4000)),
        ParameterValue::Datetime((2026, 2, 28, 1, 2, 3, 4000)),
        ParameterValue::Uuid("67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned()),
        ParameterValue::Jsonb(br#"{"b":[1,2.50],"a":null}"#.to_vec()),
        ParameterValue::Decimal("12.340".to_owned()),
        ParameterValue::RangeInt32((Some((1, RangeBoundKind::Inclusive)), None)),
        ParameterValue::RangeDecimal((
            bound("1.5", RangeBoundKind::Exclusive),
            bound("2.5", RangeBoundKind::Inclusive),
        )),
        ParameterValue::ArrayInt32(vec![Some(1), None]),
        ParameterValue::ArrayStr(vec![Some("a".to_owned()), None]),
        ParameterValue::ArrayDecimal(vec![Some("1.10".to_owned()), None]),
        ParameterValue::Interval(Interval {
            micros: 1,
            days: 2,
            months: 3,
        }),
        ParameterValue::DbNull,
    ];
    let query = "select $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, \
        $8::bytea, $9::date, $10::time, $11::timestamp, $12::uuid, $13::jsonb, $14::numeric, \
        $15::int4range, $16::numrange, $17::int4[], $18::text[], $19::numeric[], $20::interval, $21::text";
    let found = async {
        let connection = Connection::open(address(request).await).await?;
        let mut result = connection.query(query, parameters).await?;
        let row = result.rows().next().await;
        result.result().await?;
        Ok::<_, Error>(shown(&[], row.as_slice()))
    };
    found.await.unwrap_or_else(failure)
}

/// Keeps a connection for `ms`.
pub async fn hold(request: &Request) -> Value {
    match Connection::open(address(request).await).await {
        Ok(_connection) => {
            spin_sdk::time::sleep(Duration::from_millis(number(request, "ms"))).await;
            json!({})
        }
        Err(error) => failure(error),
    }
}
