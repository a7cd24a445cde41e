//! The HTTP server: takes requests from outside, and calls from component to component, to instances.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::WasiBody;

use crate::app::App;
use crate::arriving;
use crate::headers;
use crate::routes::Match;

const WELL_KNOWN: &str = "/.well-known/spin/";
/// What a component sees as the client's address when another component calls it.
const COMPONENT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Serves `app` on `listener` until the process ends.
pub async fn serve(app: Arc<App>, listener: TcpListener) {
    loop {
        match accept(&listener).await {
            Ok((stream, client)) => _ = tokio::spawn(serve_connection(app.clone(), stream, client)),
            Err(error) => {
                // Out of files, most likely: connections that end give some back.
                tracing::error!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The socket stays as it comes: Spin does not set TCP_NODELAY either.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    listener.accept().await
}

async fn serve_connection(app: Arc<App>, stream: TcpStream, client: SocketAddr) {
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        async move { respond(&app, request, client).await }
    });
    let served = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        let error = anyhow::Error::from_boxed(error);
        tracing::warn!("Error serving HTTP connection: {error:#}");
    }
}

/// Answers a request from outside. An error ends the connection without an answer.
async fn respond(
    app: &App,
    mut request: Request<WasiBody>,
    client: SocketAddr,
) -> Result<Response<WasiBody>> {
    headers::strip_forbidden(request.headers_mut());
    let path = request.uri().path();
    match path.strip_prefix(WELL_KNOWN) {
        Some("health") => return Ok(Response::new(full("OK".into()))),
        Some("info") => return Ok(info(app)),
        Some(_) => return Ok(empty(StatusCode::NOT_FOUND)),
        None => {}
    }
    match app.router.find(path) {
        Some(found) => call(app, request, found, client).await,
        None => Ok(empty(StatusCode::NOT_FOUND)),
    }
}

/// Answers a request of one component to the component `id`, which may be private.
///
/// Fails when there is no such component or the request is malformed.
pub async fn respond_to_component(
    app: &App,
    id: &str,
    request: Request<WasiBody>,
) -> Result<Response<WasiBody>> {
    let found = Match::between_components(id, request.uri().path());
    call(app, request, found, COMPONENT_ADDRESS).await
}

async fn call(
    app: &App,
    mut request: Request<WasiBody>,
    found: Match,
    client: SocketAddr,
) -> Result<Response<WasiBody>> {
    complete_uri(&mut request)?;
    let id = &found.component;
    let handler = app.handler(id);
    let handler = handler.with_context(|| format!("unknown routing destination '{id}'"))?;
    let uri = request.uri().clone();
    let response = match headers::append_own(request.headers_mut(), &uri, &found, client) {
        Ok(()) => {
            let headers = std::mem::take(request.headers_mut());
            *request.headers_mut() = arriving::mark(headers);
            handler.handle((), request).await.map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    Ok(response.unwrap_or_else(|error: anyhow::Error| {
        tracing::error!("Error processing request to component {id}: {error:#}");
        empty(StatusCode::INTERNAL_SERVER_ERROR)
    }))
}

/// Gives the request's URI its scheme and authority, as components see it.
fn complete_uri(request: &mut Request<WasiBody>) -> Result<()> {
    let host = match request.headers().get(HOST) {
        Some(host) => Some(host.to_str()?.parse::<Authority>().context("Host header")?),
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    if let (Some(host), Some(authority)) = (&host, &parts.authority) {
        ensure!(host == authority, "Host header and URI differ");
    }
    let authority = host.or(parts.authority);
    parts.authority = Some(authority.context("no Host header")?);
    parts.scheme = Some(Scheme::HTTP);
    parts
        .path_and_query
        .get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

/// The application's name and version, for anybody.
fn info(app: &App) -> Response<WasiBody> {
    let mut info = serde_json::Map::new();
    info.insert("name".to_owned(), app.name.clone().into());
    if let Some(version) = &app.version {
        info.insert("version".to_owned(), version.clone().into());
    }
    let body = format!("{:#}", serde_json::Value::Object(info));
    let mut response = Response::new(full(body.into()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn full(body: Bytes) -> WasiBody {
    Full::new(body).map_err(Into::into).boxed_unsync()
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_delay_small_packets_as_in_spin() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).await.expect("it listens");
        let (stream, _) = accept(&listener).await.expect("a client connects");
        assert!(!stream.nodelay().expect("the socket is open"));
    }
}
