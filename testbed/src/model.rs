//! A stand-in for the model's server that responds at once, with the same two phrases to every text.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// The running server, stopped when dropped.
pub struct Model {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Model {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts it at an address.
    ///
    /// # Errors
    /// When the address is in use.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self {
            address: listener.local_addr()?,
            serving: tokio::spawn(serve(listener, completion())).abort_handle(),
        })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, such as `http://127.0.0.1:40000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, completion: Bytes) {
    // Dropping the set closes all connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Otherwise Nagle's algorithm delays a small response until the one before is acknowledged.
        let _ = stream.set_nodelay(true);
        let completion = completion.clone();
        let service = service_fn(move |request| respond(request, completion.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(
    request: Request<Incoming>,
    completion: Bytes,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    let mut response = Response::new(Full::new(completion));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// Returns a chat completion with one phrase of each kind.
fn completion() -> Bytes {
    let found = json!({ "positive": ["lovely"], "negative": ["awful"] });
    let message = json!({ "role": "assistant", "content": found.to_string() });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let completion = json!({ "id": "stand-in", "object": "chat.completion", "choices": [choice] });
    completion.to_string().into()
}
