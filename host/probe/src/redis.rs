//! `spin:redis`.

use std::cell::RefCell;
use std::rc::Rc;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::redis::{Connection, Error, RedisParameter};
use spin_sdk::variables;

use crate::{failure, parameter};

thread_local! {
    static KEPT: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Connects to `address`, or to the variable `redis_url` once per instance.
async fn connect(request: &Request) -> Result<Rc<Connection>, Error> {
    if let Some(address) = parameter(request, "address") {
        return Connection::open(address).await.map(Rc::new);
    }
    if let Some(kept) = KEPT.with_borrow(Clone::clone) {
        return Ok(kept);
    }
    let address = variables::get("redis_url").await.unwrap_or_default();
    let connection = Rc::new(Connection::open(address).await?);
    KEPT.set(Some(connection.clone()));
    Ok(connection)
}

/// Runs the command in the body, an argument a line. A line that starts with `#` is a number.
pub async fn execute(request: Request) -> Value {
    let results = async {
        let connection = connect(&request).await?;
        let body = request.into_body().collect().await.unwrap_or_default();
        let body = body.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let mut lines = text.lines();
        let command = lines.next().unwrap_or_default();
        let arguments = lines.map(|line| {
            let number = line
                .strip_prefix('#')
                .and_then(|number| number.parse().ok());
            number.map_or_else(
                || RedisParameter::Binary(line.as_bytes().to_vec()),
                RedisParameter::Int64,
            )
        });
        connection
            .execute(command, arguments.collect::<Vec<_>>())
            .await
    };
    match results.await {
        Ok(results) => {
            let results: Vec<_> = results.iter().map(|result| format!("{result:?}")).collect();
            json!({ "results": results })
        }
        Err(error) => failure(error),
    }
}
