//! The HTTP client behind `wasi:http/client`.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::limits::ConnectionLimit;
use crate::tls;

/// Spin's default, for connecting and for waiting for the response's headers.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The HTTP client that all components share.
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, WasiBody>,
    limit: ConnectionLimit,
}

impl HttpClient {
    /// Creates a client. With `pooling`, connections are kept for later requests.
    pub fn new(pooling: bool, limit: ConnectionLimit) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(&[]))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut client = Client::builder(TokioExecutor::new());
        if !pooling {
            client.pool_max_idle_per_host(0);
        }
        Self {
            client: client.build(connector),
            limit,
        }
    }

    /// Sends `request` and waits for the response's headers.
    pub async fn send(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let permit = self.limit.acquire().await;
        let response = timeout(TIMEOUT, self.client.request(request))
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| wasi_error(&error))?;
        Ok(response.map(|body| {
            let to_wasi = move |error| {
                // Owned by the body, so that the connection counts until the body is dropped.
                let _permit = &permit;
                Error::Hyper(error)
            };
            body.map_err(to_wasi).boxed_unsync()
        }))
    }
}

/// Returns the error code that Spin returns in this case.
fn wasi_error(error: &legacy::Error) -> Error {
    tracing::warn!("outbound HTTP request failed: {error:?}");
    let Some(cause) = error.source().filter(|_| error.is_connect()) else {
        return Error::HttpProtocolError;
    };
    // The connector returns a bare I/O error for TLS, and wraps the one of TCP or name resolution.
    if cause.is::<io::Error>() {
        return Error::TlsProtocolError;
    }
    match cause
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>())
    {
        Some(error) if error.kind() == io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        // Name resolution fails without an error code of the operating system.
        Some(error) if error.raw_os_error().is_some() => Error::ConnectionRefused,
        _ => Error::DnsError {
            rcode: Some("address not available".to_owned()),
            info_code: Some(0),
        },
    }
}
