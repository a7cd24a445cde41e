//! `wasi:http/client`.

use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::{FullBody, Request, send};

use crate::{failure, parameter};

/// Sends the request's method and body to `url`, and returns the status and the body of the response.
pub async fn fetch(request: Request) -> Value {
    let url = parameter(&request, "url").unwrap_or_default();
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failure(error),
    };
    let outgoing = http::Request::builder()
        .method(head.method)
        .uri(url)
        .header("x-probe", "fetch")
        .header(CONTENT_LENGTH, body.len())
        .body(FullBody::new(body));
    let outgoing = match outgoing {
        Ok(outgoing) => outgoing,
        Err(error) => return failure(error),
    };
    let response = match send(outgoing).await {
        Ok(response) => response,
        Err(error) => return failure(error),
    };
    let status = response.status().as_u16();
    match response.into_body().collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            json!({ "status": status, "body": String::from_utf8_lossy(&body) })
        }
        Err(error) => failure(error),
    }
}
