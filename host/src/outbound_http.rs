//! Outbound HTTP (`wasi:http/client`): the permission check, calls between components, timeouts, pooling.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Sleep, timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::allowed_hosts::chaining_target;
use crate::app::Component;
use crate::arriving::{self, Forbidden};
use crate::http_trigger;
use crate::limits::Limit;
use crate::outbound_connect::{CONNECTING, ConnectError, Connecting, Connector};

/// Holds for connecting, for the answer's head, and for each pause in its body.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The HTTP client that all components share.
pub struct HttpClients {
    client: Client<Connector, WasiBody>,
    limit: Limit,
}

impl HttpClients {
    /// A client that keeps connections for later requests if `pooling` is set.
    pub fn new(pooling: bool, limit: Limit) -> Self {
        let mut client = Client::builder(TokioExecutor::new());
        if !pooling {
            client.pool_max_idle_per_host(0);
        }
        Self {
            client: client.build(Connector),
            limit,
        }
    }
}

/// The outbound HTTP of one instance.
pub struct OutboundHttp {
    component: Arc<Component>,
    forbidden: Forbidden,
}

impl OutboundHttp {
    /// Requests made in the name of `component`.
    pub fn new(component: Arc<Component>) -> Self {
        Self {
            component,
            forbidden: Forbidden::default(),
        }
    }
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for OutboundHttp {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        self.forbidden.is(name)
    }

    /// `_received` would tell how the component fares with the answer; nothing here depends on it.
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let component = self.component.clone();
        Box::new(async move {
            let options = options.unwrap_or_default();
            let mut response = send(&component, request, options).await?;
            let headers = std::mem::take(response.headers_mut());
            *response.headers_mut() = arriving::mark(headers);
            let done: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

async fn send(
    component: &Component,
    mut request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    prepare(component, &mut request)?;
    let callee = chaining_target(request.uri()).map(ToOwned::to_owned);
    if let Some(id) = callee {
        return send_to_component(component, &id, request, options).await;
    }
    let connecting = Connecting {
        timeout: options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT),
        limit: component.http.limit.clone(),
    };
    let response = CONNECTING.scope(connecting, component.http.client.request(request));
    let head_timeout = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let response = timeout(head_timeout, response)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(|error| request_error(&error))?;
    Ok(response.map(|body: Incoming| bounded(body.map_err(Error::Hyper).boxed_unsync(), options)))
}

async fn send_to_component(
    component: &Component,
    id: &str,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let app = component.app().ok_or(Error::DestinationUnavailable)?;
    match http_trigger::respond_to_component(&app, id, request).await {
        Ok(response) => Ok(response.map(|body| bounded(body, options))),
        Err(error) => Err(Error::InternalError(Some(format!("{error:#}")))),
    }
}

/// Checks that the component may send this, and resolves requests to the application itself.
fn prepare(component: &Component, request: &mut Request<WasiBody>) -> Result<(), Error> {
    let authority = request.uri().authority();
    let host = authority.map_or("", Authority::host);
    // Relative requests have no host; some SDKs need one and write this name.
    let to_itself = host.is_empty() || host == "self.alt";
    let allowed = if to_itself {
        component.allowed_hosts.allows_own_application()
    } else {
        let url = request.uri().to_string();
        component.allowed_hosts.allows(&url, "https")
    };
    if !allowed {
        return Err(Error::HttpRequestDenied);
    }
    if to_itself {
        let uri = own_uri(component, request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        *request.uri_mut() = uri;
    }
    // The client sets it from the URI where the protocol wants it.
    request.headers_mut().remove(HOST);
    Ok(())
}

fn own_uri(component: &Component, uri: &Uri) -> Option<Uri> {
    let app = component.app()?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = app.own_address.get()?.to_string().parse().ok();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

fn request_error(error: &hyper_util::client::legacy::Error) -> Error {
    let source = std::error::Error::source(error);
    if let Some(error) = source.and_then(|source| source.downcast_ref::<ConnectError>()) {
        return error.clone().into();
    }
    tracing::warn!("hyper request error: {error:?}");
    Error::HttpProtocolError
}

fn bounded(body: WasiBody, options: RequestOptions) -> WasiBody {
    let timeout = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
    BoundedPauses {
        body: Some(body),
        timeout,
        pause: None,
    }
    .boxed_unsync()
}

/// A body that ends with an error when nothing has come for too long.
struct BoundedPauses {
    /// None after the timeout: that closes the connection.
    body: Option<WasiBody>,
    timeout: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for BoundedPauses {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.pause = None;
            return Poll::Ready(frame);
        }
        let timeout = this.timeout;
        let pause = this
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(pause.as_mut().poll(cx));
        this.body = None;
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
