//! The changes that Spin makes to a request before a component receives it.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::outbound_http::called_component;
use crate::router::RouteMatch;

/// Removes the headers that a request from outside must not have: a `Host` that addresses a
/// component, which only other components may do, and `Connection`.
pub fn strip(headers: &mut HeaderMap) {
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let host = host.and_then(|host| Uri::try_from(host).ok());
    if host.is_some_and(|host| called_component(&host).is_some()) {
        headers.remove(HOST);
    }
    headers.remove(CONNECTION);
}

/// Gives the URI the scheme and authority that components see.
///
/// # Errors
///
/// `Host` is missing, invalid, or contradicts the request's target.
pub fn complete_uri(request: &mut Parts) -> Result<()> {
    let host = match request.headers.get(HOST) {
        Some(host) => Some(host.to_str()?.parse::<Authority>().context("Host header")?),
        None => None,
    };
    let mut uri = std::mem::take(&mut request.uri).into_parts();
    if let (Some(host), Some(authority)) = (&host, &uri.authority) {
        ensure!(host == authority, "Host header and request target differ");
    }
    let authority = host.or(uri.authority).context("no Host header")?;
    uri.authority = Some(authority);
    uri.scheme = Some(Scheme::HTTP);
    uri.path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    request.uri = Uri::from_parts(uri)?;
    Ok(())
}

/// Appends Spin's own headers. The client's headers stay, including those of the same name, and come
/// first.
///
/// # Errors
///
/// A value is not UTF-8. Spin answers such a request with 500.
pub fn append(request: &mut Parts, found: &RouteMatch, client: SocketAddr) -> Result<()> {
    let headers = &mut request.headers;
    for (name, value) in &*headers {
        std::str::from_utf8(value.as_bytes()).with_context(|| format!("header {name}"))?;
    }
    // A call by another component has no Host header.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("localhost");
    let full_url = format!(
        "http://{host}{}",
        request
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
    );
    let prefix = found.raw_route.strip_suffix("/...");
    let client = client.to_string();
    let own = [
        ("spin-path-info", found.trailing.as_str()),
        ("spin-full-url", &full_url),
        ("spin-matched-route", &found.route),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", &found.raw_route),
        ("spin-component-route", prefix.unwrap_or(&found.raw_route)),
        ("spin-client-addr", &client),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let parameters = found.parameters.iter().map(|(name, value)| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        (format!("spin-path-match-{name}"), value.as_str())
    });
    for (name, value) in own.into_iter().chain(parameters) {
        // As in Spin, what cannot be a header is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append_to(headers: HeaderMap) -> Result<HeaderMap> {
        let request = http::Request::builder().uri("http://example.com/a?b=c");
        let (mut request, ()) = request.body(())?.into_parts();
        request.headers = headers;
        let found = RouteMatch::of_call("one".to_owned(), "/a");
        append(&mut request, &found, "127.0.0.1:9".parse()?)?;
        Ok(request.headers)
    }

    #[test]
    fn forged_headers_stay_and_come_first() {
        let mut headers = HeaderMap::new();
        headers.insert("spin-client-addr", HeaderValue::from_static("6.6.6.6:6"));
        headers.insert(HOST, HeaderValue::from_static("example.com"));
        let headers = append_to(headers).expect("the headers are valid");
        let addresses: Vec<_> = headers.get_all("spin-client-addr").iter().collect();
        assert_eq!(addresses, ["6.6.6.6:6", "127.0.0.1:9"]);
        assert_eq!(headers["spin-full-url"], "http://example.com/a?b=c");
        assert_eq!(headers["spin-component-route"], "");
    }

    #[test]
    fn strips_the_host_of_a_component() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("sentiment.spin.internal:80"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        strip(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn rejects_a_value_that_is_not_utf8() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"\xff").expect("a header may have such a value");
        headers.insert("x-odd", value);
        assert!(append_to(headers).is_err());
    }
}
