//! What a component sees of its request and of its configuration.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::variables;

use crate::{failure, number, parameter};

/// Method, URI and headers, in the order in which the host gives them.
pub fn headers(request: &Request) -> Value {
    let pairs: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            [
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            ]
        })
        .collect();
    json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": pairs,
    })
}

/// Reads the body frame by frame until more than `cap` bytes have come.
pub async fn body(request: Request) -> Value {
    let cap = number(&request, "cap");
    let mut body = request.into_body();
    let (mut bytes, mut frames) = (0, 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(error) => return failure(error),
        }
        frames += 1;
        if cap > 0 && bytes > cap {
            break;
        }
    }
    json!({ "bytes": bytes, "frames": frames })
}

/// The component's variable `name`.
pub async fn variable(request: &Request) -> Value {
    let name = parameter(request, "name").unwrap_or_default();
    match variables::get(&name).await {
        Ok(value) => json!({ "value": value }),
        Err(error) => failure(error),
    }
}

/// The environment variable `name`.
pub fn environment(request: &Request) -> Value {
    let name = parameter(request, "name").unwrap_or_default();
    json!({ "value": std::env::var(name).ok() })
}

/// Writes `text` to stdout and stderr.
pub fn print(request: &Request) -> Value {
    let text = parameter(request, "text").unwrap_or_default();
    println!("out {text}");
    eprintln!("err {text}");
    json!({})
}
