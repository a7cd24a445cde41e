//! Conversion between bodies in memory and the host's streams.

use bytes::Bytes;
use futures::poll;
use spin_sdk::{
    http::IncomingMessage,
    wasip3::{
        http::types::{ErrorCode, Trailers},
        spawn, wit_future, wit_stream,
    },
    wit_bindgen::{FutureReader, StreamReader, StreamResult, yield_async},
};

/// Bytes read at once. The buffer grows with the bytes that arrive, not with the declared length.
const CHUNK: usize = 16 * 1024;

/// The reason why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BodyError {
    /// The body is longer than the limit.
    TooLong,
    /// The body ended before its declared length.
    Incomplete,
}

/// Reads the body of `message`, at most `limit` bytes. `declared` is the value of `Content-Length`, if there is one.
///
/// The host cuts a body at its declared length. Reading therefore stops at the
/// last declared byte, which saves waiting for the end of the stream.
pub(super) async fn read(
    message: impl IncomingMessage,
    declared: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    if declared.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLong);
    }
    // One byte more than the limit, to detect a body that is too long.
    let maximum = declared.unwrap_or(limit + 1);
    let mut bytes = Vec::new();
    let (_received, receipt) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = message.consume_body(receipt);
    while bytes.len() < maximum {
        bytes.reserve_exact(CHUNK.min(maximum - bytes.len()));
        let result;
        (result, bytes) = stream.read(bytes).await;
        if !matches!(result, StreamResult::Complete(_)) {
            let whole = trailers.await.is_ok() && declared.is_none();
            return whole.then_some(bytes).ok_or(BodyError::Incomplete);
        }
    }
    match declared {
        Some(_) => Ok(bytes),
        None => Err(BodyError::TooLong),
    }
}

/// The two parts of a body that the host takes: the stream of its bytes, and its trailers.
pub(super) type HostBody = (
    Option<StreamReader<u8>>,
    FutureReader<Result<Option<Trailers>, ErrorCode>>,
);

/// Returns a body as the host's stream and trailers.
///
/// Yields twice so that the host sees the body before it sends the headers.
/// Otherwise Spin sends the headers in a packet of their own, and Nagle's
/// algorithm with delayed ACK costs 40 ms: on every outbound request, and on
/// every response from a new instance. Measured over 3,000 requests: 16 delays
/// without a yield, 10 with one, none with two.
pub(super) async fn body_stream(body: Bytes) -> HostBody {
    let (end, trailers) = wit_future::new(|| Ok(None));
    if body.is_empty() {
        return (None, trailers);
    }
    let (mut writer, contents) = wit_stream::new();
    let mut sending = Box::pin(async move {
        writer.write_all(body.into()).await;
        drop(writer);
        // Fails only if the host has dropped the body.
        let _ = end.write(Ok(None)).await;
    });
    if poll!(&mut sending).is_pending() {
        spawn(sending);
    }
    yield_async().await;
    yield_async().await;
    (Some(contents), trailers)
}
