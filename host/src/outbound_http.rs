//! `wasi:http/client`: requests to other servers, and to other components of the application.

use std::sync::Arc;

use http::header::{HOST, HeaderName, TRANSFER_ENCODING};
use http::{Request, Response, Uri};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::component::Component;

/// `<component>.spin.internal` is a component of the application.
const COMPONENT_DOMAIN: &str = ".spin.internal";

/// The HTTP requests of one instance.
pub struct OutboundHttp {
    component: Arc<Component>,
}

impl OutboundHttp {
    /// Creates the hooks of an instance of `component`.
    pub fn new(component: Arc<Component>) -> Self {
        Self { component }
    }
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for OutboundHttp {
    /// wasmtime removes forbidden headers from received messages too. Spin shows those to components,
    /// so the two that clients really send are allowed here.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name) && ![HOST, TRANSFER_ENCODING].contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let component = self.component.clone();
        Box::new(async move {
            if options.is_some() {
                let message = "the embedded host implements no request options: race the request with a timer";
                return Err(Error::InternalError(Some(message.to_owned())));
            }
            let response = send(&component, request).await?;
            let request_processed: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, request_processed))
        })
    }
}

async fn send(
    component: &Component,
    mut request: Request<WasiBody>,
) -> Result<Response<WasiBody>, Error> {
    if !component.allowed_hosts.allows(&request.uri().to_string()) {
        return Err(Error::HttpRequestDenied);
    }
    // The HTTP client derives it from the URI. In Spin a called component sees no Host header.
    request.headers_mut().remove(HOST);
    match called_component(request.uri()) {
        None => component.shared.http.send(request).await,
        Some(id) => {
            let call = component.shared.call.get();
            let call = call.ok_or(Error::DestinationUnavailable)?;
            let response = call(id.to_owned(), request).await;
            response.map_err(|error| Error::InternalError(Some(format!("{error:#}"))))
        }
    }
}

/// Returns the id of the component that `uri` addresses.
pub fn called_component(uri: &Uri) -> Option<&str> {
    uri.host()?.strip_suffix(COMPONENT_DOMAIN)
}
