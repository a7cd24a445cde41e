//! A stand-in for an OpenTelemetry collector that keeps the bytes it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::http_server;

/// How long a runtime may take to export its traces.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(15);

/// The running collector. It ends with the process.
pub struct TraceCollector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl TraceCollector {
    /// Starts the collector on a free port.
    pub async fn start() -> Self {
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Arc::clone(&received);
        let handler = move |request: Request<Incoming>| {
            let sink = Arc::clone(&sink);
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.extend_from_slice(&body);
                Ok(Response::new(Full::<Bytes>::default()))
            }
        };
        Self {
            address: http_server::serve(handler).await,
            received,
        }
    }

    /// Returns the value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `last` has been received, then returns everything received. Protobuf leaves strings readable.
    pub async fn received_up_to(&self, last: &str) -> Vec<u8> {
        let start = Instant::now();
        loop {
            let received = self.received.lock();
            let received = received.unwrap_or_else(PoisonError::into_inner).clone();
            if contains(&received, last) {
                return received;
            }
            assert!(start.elapsed() < EXPORT_TIMEOUT, "no trace contains {last}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns true if `bytes` contain `text`, either as it is or as the list of numbers by which Rust's `Debug` shows bytes.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    let numbers = format!("{:?}", text.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']);
    [text, numbers].into_iter().any(|form| {
        bytes
            .windows(form.len())
            .any(|window| window == form.as_bytes())
    })
}
