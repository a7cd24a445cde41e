//! A minimal HTTP server for the stand-ins of other services.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves `handler` on a free port until the process ends. A handler that fails closes its connection.
pub async fn serve<H, F, B>(handler: H) -> SocketAddr
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    serve_at((Ipv4Addr::LOCALHOST, 0).into(), handler).await
}

/// As [`serve`], at an address of this machine.
pub async fn serve_at<H, F, B>(address: SocketAddr, handler: H) -> SocketAddr
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind(address).await;
    let listener = listener.expect("the port is free");
    let address = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(handler.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}
