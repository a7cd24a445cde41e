//! An HTTP client for other servers and components.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use serde::Serialize;
use spin_sdk::wasip3::http::{
    client,
    types::{ErrorCode, Fields, Request as RawRequest, Response as RawResponse},
};

use super::{
    body::{BodyError, body_stream, read},
    context::Context,
    finish::SERVER_TIMING,
    request::X_REQUEST_ID,
    trace::X_TRACEPARENT,
};

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

/// Posts JSON to another component, with the id and the trace of the current request as headers.
///
/// Adds the `Server-Timing` of the response to the timings of the current request.
///
/// # Errors
/// The host's reason when there is no response.
pub async fn post_json(
    context: &Context,
    url: &'static str,
    body: &impl Serialize,
) -> Result<IncomingResponse, ErrorCode> {
    let invalid = |error: &dyn std::error::Error| ErrorCode::InternalError(Some(error.to_string()));
    let body = serde_json::to_vec(body).map_err(|error| invalid(&error))?;
    let mut request = http::Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(X_REQUEST_ID, context.request_id());
    if let Some(trace) = context.trace() {
        request = request.header(X_TRACEPARENT, trace.as_str());
    }
    let request = request.body(Bytes::from(body));
    let response = send(request.map_err(|error| invalid(&error))?).await?;
    if let Some(timings) = response.header(&SERVER_TIMING) {
        context.timings().add_header(&timings);
    }
    Ok(response)
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
