//! HTTP: from the host's raw request, through the route table, to a response with all common headers.

mod bearer;
mod body;
mod client;
mod context;
mod finish;
mod peer;
mod request;
mod route;
mod sentry;
mod trace;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::Method;
use spin_sdk::wasip3::http::types::{ErrorCode, Request as RawRequest, Response as RawResponse};

use crate::{
    config::HttpConfig,
    error::Error,
    log, metrics,
    response::{Response, no_content},
    timings::{self, Server, milliseconds},
};
pub use bearer::bearer_token;
use body::streamed_body;
pub use body::{BodyError, Lines};
pub use client::{post_json, send};
pub use context::{Context, Visibility};
use finish::{finish, into_wasi_response};
pub use peer::ClientAddress;
pub use request::{Body, FromRequest, Request, X_REQUEST_ID};
pub use route::{Handler, Route};

/// Exports a component whose requests are dispatched by a table of routes:
///
/// ```text
/// component! {
///     "entries", Public,
///     GET "/diaries" => handlers::list,
///     GET "/diaries/{id}" => handlers::read,
/// }
/// ```
///
/// The first word is the component's name in the log, the second its
/// [`Visibility`]. A handler's parameters are extracted from the request, see
/// [`FromRequest`]. The first route whose pattern matches the path wins.
///
/// The SDK's `http_service` macro is not used: it answers requests that it
/// cannot represent, such as one with a huge `Content-Length`, with a bare 500.
#[macro_export]
macro_rules! component {
    ($name:literal, $visibility:ident, $($method:ident $pattern:literal => $handler:path),+ $(,)?) => {
        struct Component;

        ::spin_sdk::wasip3::http::service::export!(Component);

        impl ::spin_sdk::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: ::spin_sdk::wasip3::http::types::Request,
            ) -> Result<
                ::spin_sdk::wasip3::http::types::Response,
                ::spin_sdk::wasip3::http::types::ErrorCode,
            > {
                static ROUTES: &[$crate::http::Route] = &[$($crate::http::Route {
                    method: ::http::Method::$method,
                    pattern: $pattern,
                    handler: |request| ::std::boxed::Box::pin(
                        $crate::http::Handler::call(&$handler, request),
                    ),
                }),+];
                let visibility = $crate::http::Visibility::$visibility;
                $crate::http::serve(request, $name, visibility, ROUTES).await
            }
        }
    };
}

/// Handles one request: runs its route's handler, adds the common headers, and logs one line.
///
/// CORS preflight requests are answered before any route or authentication.
/// Invalid requests and settings always lead to a response and never to a trap.
///
/// # Errors
/// When the host does not accept the response's headers or status. No response is known to cause that.
pub async fn serve(
    raw: RawRequest,
    component: &'static str,
    visibility: Visibility,
    routes: &'static [Route],
) -> Result<RawResponse, ErrorCode> {
    let start = Instant::now();
    metrics::set_component(component);
    let config = HttpConfig::get().await;
    let (config, invalid_setting) = match config {
        Ok(config) => (config, None),
        Err(error) => (HttpConfig::restrictive(), Some(error)),
    };
    let mut request = Request::new(raw, component, config, visibility);
    let result = match invalid_setting {
        Some(error) => Err(error),
        None if request.method == Method::OPTIONS => Ok(no_content()),
        None => {
            let timings = Rc::clone(request.context.timings());
            timings::scope(timings, dispatch(routes, &mut request)).await
        }
    };
    let (cause, mut response) = match result {
        Ok(response) => (None, response),
        Err(error) => (error.cause().map(str::to_owned), error.into()),
    };
    request.discard_body().await;
    let duration = start.elapsed();
    log_request(&request, visibility, &response, duration, cause.as_deref());
    let is_counted = request.context.is_counted();
    if is_counted {
        let status = response.status();
        metrics::count_request(&request.method, request.route, status, duration);
    }
    let failure = cause.map(|cause| sentry::Failure {
        method: request.method.to_string(),
        route: request.route,
        status: response.status(),
        cause,
    });
    let context = request.context.clone();
    let streamed = context
        .take_body()
        .filter(|_| response.status().is_success());
    finish(&mut response, request, visibility, streamed.is_some());
    let streamed = streamed.map(|pieces| streamed_body(pieces, context.clone()));
    let raw = into_wasi_response(response, streamed).await;
    if is_counted {
        metrics::schedule_flush(&config.redis_url);
    }
    if let (Some(dsn), Some(failure)) = (&config.sentry, failure) {
        sentry::report(dsn, &config.redis_url, context, failure);
    }
    raw
}

async fn dispatch(routes: &'static [Route], request: &mut Request) -> Result<Response, Error> {
    let (pattern, found) = route::find(routes, request.method(), &request.path)?;
    request.route = pattern;
    request.parameter = route::parameter(pattern, &request.path).into();
    match found {
        Ok(handler) => handler(request).await,
        Err(allow) => Err(Error::MethodNotAllowed(allow)),
    }
}

/// Writes the request's log line. Calls between components are logged at level debug.
fn log_request(
    request: &Request,
    visibility: Visibility,
    response: &Response,
    duration: Duration,
    cause: Option<&str>,
) {
    let level = match (cause, visibility) {
        (Some(_), _) => log::Level::Error,
        (None, Visibility::Public) => log::Level::Info,
        (None, Visibility::Internal) => log::Level::Debug,
    };
    if !log::enabled(level) {
        return;
    }
    let context = &request.context;
    let time_in = |server| context.timings().get(server).map(milliseconds);
    log::write(&log::Line {
        level,
        component: context.component(),
        request_id: context.request_id(),
        trace_id: context.trace_id(),
        message: cause,
        request: Some(log::RequestSummary {
            method: request.method.as_str(),
            route: request.route,
            status: response.status().as_u16(),
            duration_ms: milliseconds(duration),
            postgres_ms: time_in(Server::Postgres),
            redis_ms: time_in(Server::Redis),
            model_ms: time_in(Server::Model),
            user_id: context.user_id(),
            slow: duration > request.config.slow_request,
        }),
    });
}

/// Builds a header map in the given order.
#[cfg(test)]
fn headers(pairs: &[(&'static str, &'static str)]) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, http::HeaderValue::from_static(value));
    }
    headers
}
