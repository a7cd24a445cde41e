//! From a raw request to an answer that carries all that every answer must carry.

mod answer;
mod body;
mod call;
mod peer;
mod request;

use std::ops::AsyncFnOnce;

use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderName, Method};
use spin_sdk::wasip3::http::types::{ErrorCode, Request as RawRequest, Response as RawResponse};

use crate::{Error, config::Common, log};
pub use answer::{Audience, Response, json, no_content, raw_json};
use answer::{complete, hand_over};
pub use body::Unread;
pub use call::send;
pub use request::{BODY_LIMIT, Request};

/// The header that ties a client's request to our log lines.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes a route table the component's entry point: `component!("auth", route)`,
/// or `component!("sentiment", route, Components)` for another [`Audience`] than everyone.
///
/// Like the SDK's `http_service`, but it takes the request as the host gives
/// it: what the SDK cannot represent must get an answer too, not a bare 500.
#[macro_export]
macro_rules! component {
    ($name:literal, $route:path) => {
        $crate::component!($name, $route, Everyone);
    };
    ($name:literal, $route:path, $audience:ident) => {
        struct Component;

        ::spin_sdk::wasip3::http::service::export!(Component);

        impl ::spin_sdk::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: ::spin_sdk::wasip3::http::types::Request,
            ) -> Result<
                ::spin_sdk::wasip3::http::types::Response,
                ::spin_sdk::wasip3::http::types::ErrorCode,
            > {
                let audience = $crate::http::Audience::$audience;
                let route = async |request: &mut _| $route(request).await;
                $crate::http::serve(request, $name, audience, route).await
            }
        }
    };
}

/// Handles one request: reads it, runs the route table, and completes the answer.
///
/// A preflight is answered here, before any route or authentication. An answer
/// is always given: there is no way from a bad request or setting to a trap.
pub async fn serve(
    raw: RawRequest,
    component: &'static str,
    audience: Audience,
    route: impl AsyncFnOnce(&mut Request) -> Result<Response, Error>,
) -> Result<RawResponse, ErrorCode> {
    let (common, misconfigured) = match Common::get().await {
        Ok(common) => (common, None),
        Err(error) => (Common::bare(), Some(error)),
    };
    let mut request = Request::new(raw, component, common);
    let outcome = match misconfigured {
        Some(error) => Err(error),
        None if request.method == Method::OPTIONS => Ok(no_content()),
        None => route(&mut request).await,
    };
    let mut response = outcome.unwrap_or_else(|error| {
        if let Some(cause) = error.cause() {
            request.log(log::Level::Error, cause);
        }
        error.into()
    });
    if log::enabled(log::Level::Debug) {
        let Request { method, path, .. } = &request;
        let status = response.status().as_u16();
        request.log(log::Level::Debug, &format!("{method} {path} {status}"));
    }
    complete(&mut response, request, audience);
    hand_over(response).await
}

/// A time as the contract writes it: RFC 3339, UTC, milliseconds, `Z`.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Headers by name and value, in this order.
#[cfg(test)]
fn headers(pairs: &[(&'static str, &'static str)]) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, http::HeaderValue::from_static(value));
    }
    headers
}
