//! One host call for each route: what the host's tests ask, and what the bench compares the service with.

mod http_calls;
mod instance;
mod postgres;
mod redis;
mod requests;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::{Value, json};
use spin_sdk::http::{FullBody, Request, Response};
use spin_sdk::http_service;

/// The answer of every route.
type Answer = Response<FullBody<Bytes>>;

#[http_service]
async fn handle(request: Request) -> Result<Answer, &'static str> {
    let _in_flight = instance::InFlight::start();
    let path = own_path(&request);
    let value = match path.as_str() {
        "/health" => json!({ "status": "ok" }),
        "/headers" => requests::headers(&request),
        "/body" => requests::body(request).await,
        "/variable" => requests::variable(&request).await,
        "/environment" => requests::environment(&request),
        "/print" => requests::print(&request),
        "/instance" => instance::counts(&request).await,
        "/sleep" => instance::sleep(&request).await,
        "/trap" => std::process::abort(),
        "/error" => return Err("asked to fail"),
        "/argon2" => instance::argon2(),
        "/pg" => return Ok(postgres::newest_diaries(&request).await),
        "/pg/query" => postgres::query(request).await,
        "/pg/query-blocking" => postgres::query_blocking(request).await,
        "/pg/execute" => postgres::execute(request).await,
        "/pg/parameters" => postgres::parameters(&request).await,
        "/pg/hold" => postgres::hold(&request).await,
        "/redis" => redis::kept().await,
        "/redis/execute" => redis::execute(request).await,
        "/redis/calls" => redis::calls(&request).await,
        "/fetch" => http_calls::fetch(request).await,
        _ => json!({ "path": path }),
    };
    Ok(answer(value.to_string().into()))
}

/// The path within the component's route: the host's header for it is the last one of its name.
fn own_path(request: &Request) -> String {
    let values = request.headers().get_all("spin-path-info");
    let last = values
        .iter()
        .next_back()
        .and_then(|path| path.to_str().ok());
    last.unwrap_or_default().to_owned()
}

/// A JSON answer that is sent as one piece.
fn answer(body: Bytes) -> Answer {
    let length = body.len();
    let mut response = Response::new(FullBody::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

/// `{"error": "<all that the host said>"}`.
fn failure(error: impl std::fmt::Debug) -> Value {
    json!({ "error": format!("{error:?}") })
}

/// The value of `name` in the query string, percent-decoded.
fn parameter<B>(request: &http::Request<B>, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(decode(value))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.split_at_checked(2).filter(|_| first == b'%');
        let hex = escaped.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = hex.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The number in the query string under `name`, or 0.
fn number<B>(request: &http::Request<B>, name: &str) -> u64 {
    parameter(request, name)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
