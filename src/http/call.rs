//! Calls to other servers and components.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use spin_sdk::wasip3::http::{
    client,
    types::{ErrorCode, Fields, Request as RawRequest, Response as RawResponse},
};

use super::body::{Unread, offer, read};

/// Sends a request.
///
/// # Errors
/// What kept the host from getting an answer.
pub async fn send(request: http::Request<Bytes>) -> Result<Answer, ErrorCode> {
    let (parts, body) = request.into_parts();
    let headers =
        Fields::try_from(parts.headers).map_err(|_| ErrorCode::HttpRequestHeaderSize(None))?;
    let (contents, trailers) = offer(body).await;
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
    Ok(Answer { status, raw })
}

/// The answer to a call of ours.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    raw: RawResponse,
}

impl Answer {
    /// A header's first value, where that is text.
    pub fn header(&self, name: &HeaderName) -> Option<String> {
        let values = self.raw.get_headers().get(name.as_str());
        String::from_utf8(values.into_iter().next()?).ok()
    }

    /// Its body, of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it was not read.
    pub async fn body(self, limit: usize) -> Result<Vec<u8>, Unread> {
        let declared = self.header(&header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.parse().ok());
        read(self.raw, declared, limit).await
    }
}
