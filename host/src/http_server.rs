//! The HTTP server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::WasiBody;

use crate::app::{App, empty_response};
use crate::logs;
use crate::request_headers;

/// Paths that Spin answers itself.
const WELL_KNOWN: &str = "/.well-known/spin/";
/// How long requests in flight may take once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves `app` until `stop` is ready. Then stops accepting connections and waits for the requests in
/// flight, at most for [`DRAIN_TIMEOUT`].
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let accept_all = async {
        loop {
            match accept(&listener).await {
                Ok((stream, client)) => {
                    let app = app.clone();
                    let service = service_fn(move |request| respond(app.clone(), request, client));
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    let connection = connections.watch(connection);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::warn!("HTTP connection of {client} failed: {error:?}");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!("cannot accept a connection: {error}");
                    // Most likely all file descriptors are in use, and some connections end soon.
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept_all => {}
        () = stop => {}
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, connections.shutdown())
        .await
        .is_err()
    {
        logs::print_error(format_args!(
            "Requests were still in flight {} s after SIGTERM and have been aborted",
            DRAIN_TIMEOUT.as_secs()
        ));
    }
}

/// Accepts a connection. As in Spin, TCP_NODELAY is not set: a response whose body is sent after its
/// headers takes 40 ms longer, because of Nagle's algorithm and delayed ACK.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    listener.accept().await
}

/// Answers a request from outside. An error closes the connection without a response.
async fn respond(
    app: Arc<App>,
    request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<WasiBody>> {
    let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    request_headers::strip(request.headers_mut());
    let path = request.uri().path();
    match path.strip_prefix(WELL_KNOWN) {
        Some("health") => return Ok(full_response("OK".into())),
        Some("info") => return Ok(info(&app)),
        Some(_) => return Ok(empty_response(StatusCode::NOT_FOUND)),
        None => {}
    }
    match app.router.find(path) {
        Some(found) => app.handle(request, found, client).await,
        None => Ok(empty_response(StatusCode::NOT_FOUND)),
    }
}

/// Returns the name and the version of the application, as Spin does.
fn info(app: &App) -> Response<WasiBody> {
    let application = &app.application;
    let info = serde_json::json!({ "name": application.name, "version": application.version });
    let mut response = full_response(info.to_string().into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn full_response(body: Bytes) -> Response<WasiBody> {
    Response::new(Full::new(body).map_err(Into::into).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_delay_small_packets() {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let _client = TcpStream::connect(address)
            .await
            .expect("the server listens");
        let (stream, _) = accept(&listener).await.expect("a client connects");
        assert!(!stream.nodelay().expect("the socket is open"));
    }
}
