//! Requests written byte by byte, for what no HTTP client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Service;

/// More than any response to an invalid request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A response as it was received.
#[derive(Debug)]
pub struct RawResponse {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body, as long as `Content-Length` says.
    pub body: String,
}

impl RawResponse {
    /// Returns the value of a header. Names are not case-sensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Asserts a failure by its status and code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let found = (self.status, body["error"].as_str());
        assert_eq!(found, (status, Some(code)), "{self:?}");
        assert_ne!(self.header("x-request-id"), None, "{self:?}");
    }
}

/// Returns the statuses of responses.
pub fn statuses(responses: &[RawResponse]) -> Vec<u16> {
    responses.iter().map(|response| response.status).collect()
}

/// Connects to the service and writes bytes.
pub async fn connect_and_write(service: &Service, bytes: &[u8]) -> TcpStream {
    let stream = TcpStream::connect(service.authority()).await;
    let mut stream = stream.expect("the service accepts connections");
    // The service may respond and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    stream
}

/// Sends bytes and returns all responses received until the service closes. No response means that it closed at once.
pub async fn exchange(service: &Service, request: impl AsRef<[u8]>) -> Vec<RawResponse> {
    split(&exchange_bytes(TIMEOUT, service, request.as_ref()).await)
}

/// Sends a request that has exactly one response.
pub async fn send(service: &Service, request: impl AsRef<[u8]>) -> RawResponse {
    send_with_timeout(TIMEOUT, service, request).await
}

/// Sends a request that has exactly one response, which may take this long.
pub async fn send_with_timeout(
    timeout: Duration,
    service: &Service,
    request: impl AsRef<[u8]>,
) -> RawResponse {
    let request = request.as_ref();
    let mut responses = split(&exchange_bytes(timeout, service, request).await);
    let sent = String::from_utf8_lossy(request);
    assert_eq!(responses.len(), 1, "{sent:?} → {responses:?}");
    responses.remove(0)
}

/// Sends bytes and returns everything received until the service closes.
pub async fn exchange_bytes(timeout: Duration, service: &Service, request: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let exchange = async {
        let mut stream = connect_and_write(service, request).await;
        let mut buffer = [0; 4096];
        // A connection that is reset after the response has ended as well.
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            received.extend_from_slice(&buffer[..length]);
        }
    };
    if tokio::time::timeout(timeout, exchange).await.is_err() {
        let sent = String::from_utf8_lossy(request);
        let sent: String = sent.chars().take(300).collect();
        let received = String::from_utf8_lossy(&received);
        panic!("the connection is still open after {received:?} to {sent:?}");
    }
    received
}

fn split(mut bytes: &[u8]) -> Vec<RawResponse> {
    let mut responses = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let rest = &bytes[end + 4..];
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut response = RawResponse {
            status: status.unwrap_or_default(),
            head,
            body: String::new(),
        };
        let length = response.header("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        let (body, after) = rest.split_at(rest.len().min(length));
        response.body = String::from_utf8_lossy(body).into_owned();
        bytes = after;
        responses.push(response);
    }
    let rest = String::from_utf8_lossy(bytes);
    assert_eq!(rest, "", "bytes after the last response");
    responses
}
