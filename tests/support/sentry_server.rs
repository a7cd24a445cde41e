//! A stand-in for Sentry that keeps the envelopes it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;

use super::http_server;

/// How long an event may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: String,
}

impl Envelope {
    /// Returns the lines as JSON: the envelope's header, the item's header, and the event.
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).expect("a line is JSON");
        self.body.lines().map(parse).collect()
    }
}

/// The running server. It ends with the process.
pub struct SentryServer {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Envelope>>>,
}

impl SentryServer {
    /// Starts the server on a free port. It responds after `delay`.
    pub async fn start(delay: Duration) -> Self {
        let received = Arc::<Mutex<Vec<Envelope>>>::default();
        let sink = Arc::clone(&received);
        let handler = move |request: Request<Incoming>| {
            let sink = Arc::clone(&sink);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let envelope = Envelope {
                    path: parts.uri.path().to_owned(),
                    headers: parts.headers,
                    body: String::from_utf8(body.into())?,
                };
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(envelope);
                tokio::time::sleep(delay).await;
                Ok(Response::new(Full::<Bytes>::from("{}")))
            }
        };
        Self {
            address: http_server::serve(handler).await,
            received,
        }
    }

    /// Returns the value of `sentry_host`.
    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the value of `sentry_dsn`.
    pub fn dsn(&self) -> String {
        format!("http://0a1b2c3d4e5f@{}/42", self.address)
    }

    /// Returns what was received so far.
    pub fn received(&self) -> Vec<Envelope> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for an envelope that contains `text` and returns it.
    pub async fn wait_for(&self, text: &str) -> Envelope {
        let start = Instant::now();
        loop {
            let received = self.received();
            let found = received
                .iter()
                .find(|envelope| envelope.body.contains(text));
            if let Some(envelope) = found {
                return envelope.clone();
            }
            assert!(start.elapsed() < TIMEOUT, "no {text} in {received:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
