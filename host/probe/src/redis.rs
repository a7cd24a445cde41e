//! `spin:redis`: one kept connection, any command, and every function once.

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

async fn address() -> String {
    variables::get("redis_url").await.unwrap_or_default()
}

/// One GET on the instance's connection; whoever finds none opens one.
pub async fn kept() -> Value {
    let kept = KEPT.with_borrow(Clone::clone);
    let connection = match kept {
        Some(connection) => Ok(connection),
        None => Connection::open(address().await).await.map(Rc::new),
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => return failure(error),
    };
    KEPT.set(Some(connection.clone()));
    match connection.get("probe:absent").await {
        Ok(value) => json!({ "found": value.is_some() }),
        Err(error) => {
            KEPT.set(None);
            failure(error)
        }
    }
}

/// Runs the command in the body, one argument a line, a number where the line starts with `#`.
pub async fn execute(request: Request) -> Value {
    let address = match parameter(&request, "address") {
        Some(address) => address,
        None => address().await,
    };
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failure(error),
    };
    let text = String::from_utf8_lossy(&body);
    let mut lines = text.lines();
    let command = lines.next().unwrap_or_default();
    let arguments: Vec<_> = lines
        .map(
            |line| match line.strip_prefix('#').and_then(|n| n.parse().ok()) {
                Some(number) => RedisParameter::Int64(number),
                None => RedisParameter::Binary(line.as_bytes().to_vec()),
            },
        )
        .collect();
    let results = async {
        let connection = Connection::open(address).await?;
        connection.execute(command, arguments).await
    };
    match results.await {
        Ok(results) => {
            let shown: Vec<_> = results.iter().map(|result| format!("{result:?}")).collect();
            json!({ "results": shown })
        }
        Err(error) => failure(error),
    }
}

/// Calls every function of the interface with keys that start with `?key=`.
pub async fn calls(request: &Request) -> Value {
    let key = parameter(request, "key").unwrap_or_default();
    let (text, set, count) = (format!("{key}:t"), format!("{key}:s"), format!("{key}:n"));
    let called = async {
        let connection = Connection::open(address().await).await?;
        connection.set(&text, b"value").await?;
        let shown = vec![
            format!("{:?}", connection.get(&text).await),
            format!("{:?}", connection.get(format!("{key}:absent")).await),
            format!("{:?}", connection.incr(&count).await),
            format!("{:?}", connection.incr(&text).await),
            format!("{:?}", connection.sadd(&set, ["a", "b", "a"]).await),
            format!("{:?}", connection.sadd(&text, ["a"]).await),
            format!("{:?}", connection.srem(&set, ["b"]).await),
            format!("{:?}", connection.smembers(&set).await),
            format!("{:?}", connection.publish("channel", b"hello").await),
            format!("{:?}", connection.get(&set).await),
            format!("{:?}", connection.del([&text, &set, &count]).await),
        ];
        Ok::<_, Error>(shown)
    };
    match called.await {
        Ok(shown) => json!({ "calls": shown }),
        Err(error) => failure(error),
    }
}
