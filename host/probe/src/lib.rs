//! The probe: one host call per route. The host's tests call it, and the benchmark compares the
//! service with it.

mod instance;
mod outbound_http;
mod postgres;
mod redis;
mod requests;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use spin_sdk::http::{FullBody, Request, Response};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> Result<Response<FullBody<Bytes>>, &'static str> {
    instance::count_request();
    let value = match path(&request).as_str() {
        "/health" => json!({ "status": "ok" }),
        "/headers" => requests::headers(&request),
        "/body" => requests::body(request).await,
        "/variable" => requests::variable(&request).await,
        "/print" => requests::print(&request),
        "/instance" => instance::identity(&request).await,
        "/sleep" => instance::sleep(&request).await,
        "/trap" => std::process::abort(),
        "/error" => return Err("the request was for an error"),
        "/argon2" => instance::argon2(),
        "/pg" => return Ok(newest_diaries(&request).await),
        "/pg/query" => postgres::query(request).await,
        "/pg/parameters" => postgres::parameters(&request).await,
        "/pg/hold" => postgres::hold(&request).await,
        "/redis" => redis::execute(request).await,
        "/fetch" => outbound_http::fetch(request).await,
        path => json!({ "path": path }),
    };
    Ok(response(StatusCode::OK, value.to_string()))
}

async fn newest_diaries(request: &Request) -> Response<FullBody<Bytes>> {
    match postgres::newest_diaries(request).await {
        Ok(json) => response(StatusCode::OK, json),
        Err(error) => response(
            StatusCode::INTERNAL_SERVER_ERROR,
            failure(error).to_string(),
        ),
    }
}

/// Returns the path within the component's route. The host's header is the last one of its name.
fn path(request: &Request) -> String {
    let mut values = request.headers().get_all("spin-path-info").iter();
    let path = values.next_back().map(HeaderValue::as_bytes);
    String::from_utf8_lossy(path.unwrap_or_default()).into_owned()
}

/// Returns a JSON response with a length, so that it is sent in one packet.
fn response(status: StatusCode, body: String) -> Response<FullBody<Bytes>> {
    let length = body.len();
    let mut response = Response::new(FullBody::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns `{"error": "<the host's error>"}`.
fn failure(error: impl std::fmt::Debug) -> Value {
    json!({ "error": format!("{error:?}") })
}

/// Returns the parameter `name` of the query string.
fn parameter<B>(request: &http::Request<B>, name: &str) -> Option<String> {
    let query = request.uri().query()?.as_bytes();
    let mut pairs = form_urlencoded::parse(query);
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Returns the number in the parameter `name`, or 0.
fn number<B>(request: &http::Request<B>, name: &str) -> u64 {
    let value = parameter(request, name).and_then(|value| value.parse().ok());
    value.unwrap_or(0)
}
