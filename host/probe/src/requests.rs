//! What a component sees of a request and of its configuration.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::variables;

use crate::{failure, number, parameter};

/// Returns method, URI and headers, in the order in which the host passes them.
pub fn headers(request: &Request) -> Value {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        [name.as_str().to_owned(), value.into_owned()]
    });
    json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers.collect::<Vec<_>>(),
    })
}

/// Reads the body frame by frame, until there are more than `cap` bytes, and returns their number.
pub async fn body(request: Request) -> Value {
    let cap = number(&request, "cap");
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(error) => return failure(error),
        }
        if cap > 0 && bytes > cap {
            break;
        }
    }
    json!({ "bytes": bytes })
}

/// Returns the component's variable `name`.
pub async fn variable(request: &Request) -> Value {
    let name = parameter(request, "name").unwrap_or_default();
    match variables::get(&name).await {
        Ok(value) => json!({ "value": value }),
        Err(error) => failure(error),
    }
}

/// Writes `text` to stdout and stderr.
pub fn print(request: &Request) -> Value {
    let text = parameter(request, "text").unwrap_or_default();
    println!("out {text}");
    eprintln!("err {text}");
    json!({})
}
