//! Calls to other servers and components.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use spin_sdk::{
    http::{FromResponse as _, IntoRequest as _, Response, body::IncomingBodyExt as _},
    wasip3::http::{client, types::ErrorCode},
};

use super::body_ready;

/// Sends a request, whose body is there as a whole.
///
/// # Errors
/// What kept the host from getting an answer.
pub async fn send(request: http::Request<Full<Bytes>>) -> Result<Response, ErrorCode> {
    let request = request.into_request()?;
    body_ready().await;
    Response::from_response(client::send(request).await?)
}

/// Reads the answer to a call of ours, with a body of at most `limit` bytes; `None` when it is larger or breaks off.
pub async fn read_answer(response: Response, limit: usize) -> Option<(StatusCode, Vec<u8>)> {
    let status = response.status();
    Some((status, read_body(response, limit).await.ok()?))
}

/// Why the body of an answer was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unread {
    /// It has more bytes than we care for.
    TooLong,
    /// The other side ended it early.
    BrokeOff,
}

/// Reads the body of the answer to a call of ours, at most `limit` bytes.
///
/// # Errors
/// Why it was not read.
pub async fn read_body(response: Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut stream = response.into_body().stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
        let chunk = chunk.map_err(|_| Unread::BrokeOff)?;
        if bytes.len() + chunk.len() > limit {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
