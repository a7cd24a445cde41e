//! Bodies: whole on our side, streams on the host's.

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

/// Bytes asked for at once: nobody gets more memory for a body than it has sent.
const CHUNK: usize = 16 * 1024;

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unread {
    /// It has more bytes than we care for.
    TooLong,
    /// The other side ended it early.
    BrokeOff,
}

/// Reads the body of `message`, which is as long as `declared` and at most `limit` bytes.
///
/// The host lets no body be longer than it was declared. So its last byte is
/// its end, and we need not wait for the host to say so.
///
/// # Errors
/// Why it was not read.
pub(super) async fn read(
    message: impl IncomingMessage,
    declared: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>, Unread> {
    if declared.is_some_and(|length| length > limit) {
        return Err(Unread::TooLong);
    }
    // One byte beyond the limit tells what is too long.
    let most = declared.unwrap_or(limit + 1);
    let mut bytes = Vec::new();
    let (_received, receipt) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = message.consume_body(receipt);
    while bytes.len() < most {
        bytes.reserve_exact(CHUNK.min(most - bytes.len()));
        let result;
        (result, bytes) = stream.read(bytes).await;
        if !matches!(result, StreamResult::Complete(_)) {
            let whole = trailers.await.is_ok() && declared.is_none();
            return whole.then_some(bytes).ok_or(Unread::BrokeOff);
        }
    }
    match declared {
        Some(_) => Ok(bytes),
        None => Err(Unread::TooLong),
    }
}

/// What the host takes for a body: its bytes, and its end.
pub(super) type Offered = (
    Option<StreamReader<u8>>,
    FutureReader<Result<Option<Trailers>, ErrorCode>>,
);

/// Hands a body over to the host.
///
/// The host has taken note of it before its head is sent. Else Spin sends the
/// head first, and TCP holds the bytes back until the other side acknowledges
/// it: 40 ms, for calls of ours, and for an answer wherever Spin takes a new
/// instance. To begin with the bytes is not enough, nor is one turn.
pub(super) async fn offer(body: Bytes) -> Offered {
    let (end, trailers) = wit_future::new(|| Ok(None));
    if body.is_empty() {
        return (None, trailers);
    }
    let (mut writer, contents) = wit_stream::new();
    let mut sending = Box::pin(async move {
        writer.write_all(body.into()).await;
        drop(writer);
        // Who no longer wants the body does not want its end either.
        let _ = end.write(Ok(None)).await;
    });
    if poll!(&mut sending).is_pending() {
        spawn(sending);
    }
    yield_async().await;
    yield_async().await;
    (Some(contents), trailers)
}
