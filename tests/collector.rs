//! A stand-in for a collector of traces: takes whatever a runtime sends and keeps it to be looked through.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What sending may take.
const ARRIVES_WITHIN: Duration = Duration::from_secs(15);

/// The running stand-in; ends with the process.
#[derive(Clone)]
pub struct Collector {
    address: SocketAddr,
    collected: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let collector = Self {
            address: listener.local_addr().expect("it is bound"),
            collected: Arc::default(),
        };
        tokio::spawn(collector.clone().serve(listener));
        collector
    }

    /// Its address, as `OTEL_EXPORTER_OTLP_ENDPOINT` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was sent, as soon as `last` is in it. The texts of traces are in there as they are.
    pub async fn collected_with(&self, last: &str) -> Vec<u8> {
        let start = Instant::now();
        loop {
            let collected = self.collected.lock();
            let collected = collected.unwrap_or_else(PoisonError::into_inner).clone();
            if contains(&collected, last) {
                return collected;
            }
            assert!(start.elapsed() < ARRIVES_WITHIN, "{last} is in no trace");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let collector = self.clone();
            let service = service_fn(move |request| collector.clone().take(request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if let Ok(body) = request.into_body().collect().await {
            let mut collected = self.collected.lock();
            let collected = collected.as_mut().unwrap_or_else(|broken| broken.get_mut());
            collected.extend_from_slice(&body.to_bytes());
        }
        Ok(Response::new(Full::default()))
    }
}

/// Whether `text` is in there, as it is or as the numbers that Rust shows bytes as.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    let numbers = format!("{:?}", text.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']);
    [text, numbers].into_iter().any(|form| {
        bytes
            .windows(form.len())
            .any(|window| window == form.as_bytes())
    })
}
