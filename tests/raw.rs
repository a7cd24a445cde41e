//! Requests byte by byte, for what no HTTP client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Service;

/// Longer than this nobody waits for an answer to nonsense.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer as it came.
#[derive(Debug)]
pub struct RawAnswer {
    /// Such as 400.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What came behind them.
    pub body: String,
}

impl RawAnswer {
    /// The value of a header, however its name is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Itself, when it is this failure in the contract's envelope.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        assert_eq!(
            (self.status, body["error"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert!(self.header("x-request-id").is_some(), "{self:?}");
        self
    }
}

/// Sends bytes and reads until the other side closes. An empty list means that it closed without an answer.
pub async fn exchange(service: &Service, request: impl AsRef<[u8]>) -> Vec<RawAnswer> {
    exchange_within(PATIENCE, service, request).await
}

async fn exchange_within(
    patience: Duration,
    service: &Service,
    request: impl AsRef<[u8]>,
) -> Vec<RawAnswer> {
    let mut answer = Vec::new();
    let exchanged = tokio::time::timeout(patience, async {
        let mut stream = TcpStream::connect(service.authority()).await?;
        // The other side may close before it has read everything; its answer is what counts.
        let _ = stream.write_all(request.as_ref()).await;
        read_to_end(&mut stream, &mut answer).await
    });
    let exchanged = exchanged.await.unwrap_or_else(|_| {
        let sent: String = String::from_utf8_lossy(request.as_ref())
            .chars()
            .take(300)
            .collect();
        panic!(
            "the connection hangs after {:?} to {sent:?}",
            String::from_utf8_lossy(&answer)
        )
    });
    exchanged.expect("the service can be connected to");
    split(&answer)
}

/// As [`exchange`], for requests that have one answer.
pub async fn ask(service: &Service, request: impl AsRef<[u8]>) -> RawAnswer {
    ask_within(PATIENCE, service, request).await
}

/// As [`ask`], for an answer that takes its time.
pub async fn ask_within(
    patience: Duration,
    service: &Service,
    request: impl AsRef<[u8]>,
) -> RawAnswer {
    let mut answers = exchange_within(patience, service, &request).await;
    assert_eq!(
        answers.len(),
        1,
        "{:?} → {answers:?}",
        String::from_utf8_lossy(request.as_ref())
    );
    answers.remove(0)
}

/// A reset after the answer is an end like any other.
async fn read_to_end(stream: &mut TcpStream, answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        answer.extend_from_slice(&piece[..length]);
    }
    Ok(())
}

fn split(mut bytes: &[u8]) -> Vec<RawAnswer> {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let rest = &bytes[end + 4..];
        let mut answer = RawAnswer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .unwrap_or_default(),
            head,
            body: String::new(),
        };
        let declared = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let length = rest.len().min(declared.unwrap_or(0));
        answer.body = String::from_utf8_lossy(&rest[..length]).into_owned();
        bytes = &rest[length..];
        answers.push(answer);
    }
    assert!(
        bytes.is_empty(),
        "bytes behind the answers: {:?}",
        String::from_utf8_lossy(bytes)
    );
    answers
}
