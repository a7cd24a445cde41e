//! Conversion between bodies in memory and the host's streams.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, poll};
use spin_sdk::{
    http::IncomingMessage,
    wasip3::{
        http::types::{ErrorCode, Trailers},
        spawn, wit_future, wit_stream,
    },
    wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter, yield_async},
};

use super::context::{BodyStream, Context};
use crate::{log::Level, timeout::timeout};

/// Bytes read at once. The buffer grows with the bytes that arrive, not with the declared length.
const CHUNK: usize = 16 * 1024;

/// Bytes that the reader of a body must take in one [`PIECE_TIMEOUT`].
const PIECE: usize = 256 * 1024;

/// Timeout of writing one [`PIECE`], and of one read of [`Lines`]. The host sets none.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

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

/// Reads a body of this declared length, or what there is of it, and drops it.
pub(super) async fn discard(message: impl IncomingMessage, length: usize) {
    let (_received, receipt) = wit_future::new(|| Ok(()));
    let (mut stream, _trailers) = message.consume_body(receipt);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut received = 0;
    while received < length {
        let result;
        (result, chunk) = stream.read(chunk).await;
        received += chunk.len();
        chunk.clear();
        if !matches!(result, StreamResult::Complete(_)) {
            return;
        }
    }
}

/// A request body that is read line by line, because it may be too large for the memory.
pub struct Lines {
    stream: StreamReader<u8>,
    /// `None` once the whole body has arrived.
    trailers: Option<FutureReader<Result<Option<Trailers>, ErrorCode>>>,
    /// Bytes that arrived and were not returned yet.
    buffer: BytesMut,
}

impl Lines {
    pub(super) fn new(message: impl IncomingMessage) -> Self {
        let (_received, receipt) = wit_future::new(|| Ok(()));
        let (stream, trailers) = message.consume_body(receipt);
        Self {
            stream,
            trailers: Some(trailers),
            buffer: BytesMut::new(),
        }
    }

    /// Returns the next line without its end. `None` after the last one.
    ///
    /// # Errors
    /// `TooLong` for a line beyond `limit`, `Incomplete` when the body ends early
    /// or no more of it arrives in time.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                return Ok(Some(line.freeze()));
            }
            if self.buffer.len() > limit {
                return Err(BodyError::TooLong);
            }
            if self.trailers.is_none() {
                let line = self.buffer.split().freeze();
                return Ok((!line.is_empty()).then_some(line));
            }
            let read = timeout(PIECE_TIMEOUT, self.stream.read(Vec::with_capacity(CHUNK)));
            let (result, bytes) = read.await.ok_or(BodyError::Incomplete)?;
            self.buffer.extend(bytes);
            if !matches!(result, StreamResult::Complete(_))
                && let Some(trailers) = self.trailers.take()
            {
                trailers.await.map_err(|_| BodyError::Incomplete)?;
            }
        }
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
        if body.len() <= PIECE {
            // Without a timeout, because a timer costs more than keeping so little in memory.
            writer.write_all(body.into()).await;
        } else if write_in_pieces(&mut writer, body).await.is_none() {
            return;
        }
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

/// Writes bytes in pieces. Returns `None` when the reader is gone, or does not take a piece in time: a client that
/// never reads must not keep a large body in memory forever.
async fn write_in_pieces(writer: &mut StreamWriter<u8>, mut bytes: Bytes) -> Option<()> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE)).into();
        let rest = timeout(PIECE_TIMEOUT, writer.write_all(piece)).await?;
        if !rest.is_empty() {
            return None;
        }
    }
    Some(())
}

/// Returns a body that is produced while it is sent. The next piece is produced
/// when the host has taken the one before, so that one piece at a time is in memory.
pub(super) fn streamed_body(mut pieces: BodyStream, context: Context) -> HostBody {
    let incomplete = || Err(ErrorCode::HttpResponseIncomplete);
    // The value for the case that this task ends before it has sent everything.
    let (end, trailers) = wit_future::new(incomplete);
    let (mut writer, contents) = wit_stream::new();
    spawn(async move {
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    let cause = error.cause().unwrap_or("the session has ended");
                    context.log(Level::Warn, &format!("a response is incomplete: {cause}"));
                    return;
                }
            };
            if write_in_pieces(&mut writer, piece).await.is_none() {
                return;
            }
        }
        drop(writer);
        // Fails only if the host has dropped the body.
        let _ = end.write(Ok(None)).await;
    });
    (Some(contents), trailers)
}
