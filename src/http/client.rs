//! An HTTP client for other servers and components.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use spin_sdk::wasip3::http::{
    client,
    types::{ErrorCode, Fields, Request as RawRequest, Response as RawResponse},
};

use super::body::{BodyError, body_stream, read};

/// Sends a request and waits for the response's headers.
///
/// # Errors
/// The host's reason when there is no response.
pub async fn send(request: http::Request<Bytes>) -> Result<IncomingResponse, ErrorCode> {
    let (parts, body) = request.into_parts();
    let headers =
        Fields::try_from(parts.headers).map_err(|_| ErrorCode::HttpRequestHeaderSize(None))?;
    let (contents, trailers) = body_stream(body).await;
    let (raw, _sent) = RawRequest::new(headers, contents, trailers, None);
    raw.set_method(&parts.method.into())
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    let uri = parts.uri;
    raw.set_scheme(uri.scheme().map(Into::into).as_ref())
        .and_then(|()| raw.set_authority(uri.authority().map(|authority| authority.as_str())))
        .and_then(|()| raw.set_path_with_query(uri.path_and_query().map(|path| path.as_str())))
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let raw = client::send(raw).await?;
    let status =
        StatusCode::from_u16(raw.get_status_code()).map_err(|_| ErrorCode::HttpProtocolError)?;
    Ok(IncomingResponse { status, raw })
}

/// A response whose body has not been read yet.
pub struct IncomingResponse {
    /// The status.
    pub status: StatusCode,
    raw: RawResponse,
}

impl IncomingResponse {
    /// Returns the first value of a header, if it is UTF-8.
    pub fn header(&self, name: &HeaderName) -> Option<String> {
        let values = self.raw.get_headers().get(name.as_str());
        String::from_utf8(values.into_iter().next()?).ok()
    }

    /// Reads the body, which may have at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLong` beyond `limit`, `Incomplete` when the connection ends early.
    pub async fn body(self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let declared = self.header(&header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.parse().ok());
        read(self.raw, declared, limit).await
    }
}
