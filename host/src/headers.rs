//! What Spin does to the headers of a request before a component sees them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::allowed_hosts::chaining_component;
use crate::routes::Match;

/// Drops what must not come in from outside.
pub fn strip_forbidden(headers: &mut HeaderMap) {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| chaining_component(host).is_some()) {
        headers.remove(HOST);
    }
    headers.remove(CONNECTION);
}

/// Appends Spin's own headers. The client's stay, also those of the same name, and come first.
///
/// Fails on a header value that is not UTF-8, which Spin does not pass on.
pub fn append_own(
    headers: &mut HeaderMap,
    uri: &Uri,
    found: &Match,
    client: SocketAddr,
) -> Result<()> {
    for (name, value) in &*headers {
        std::str::from_utf8(value.as_bytes()).with_context(|| format!("header {name}"))?;
    }
    let host = headers.get(HOST).map_or("localhost", |host| {
        std::str::from_utf8(host.as_bytes()).unwrap_or("localhost")
    });
    let scheme = uri.scheme_str().unwrap_or("http");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let full_url = format!("{scheme}://{host}{path}");
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
    for (name, value) in own {
        append(headers, HeaderName::from_static(name), value);
    }
    for (name, value) in &found.parameters {
        let name = format!(
            "spin-path-match-{}",
            name.to_ascii_lowercase().replace('_', "-")
        );
        if let Ok(name) = HeaderName::try_from(name) {
            append(headers, name, value);
        }
    }
    Ok(())
}

/// A value that no header can have is left out, as in Spin.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_headers_come_first_and_stay() {
        let mut headers = HeaderMap::new();
        headers.insert("spin-client-addr", HeaderValue::from_static("6.6.6.6:6"));
        headers.insert(HOST, HeaderValue::from_static("example.com"));
        let found = Match::between_components("one", "/a");
        let client = "127.0.0.1:9".parse().expect("an address");
        let uri = Uri::from_static("http://example.com/a?b=c");
        append_own(&mut headers, &uri, &found, client).expect("right headers");
        let values: Vec<_> = headers.get_all("spin-client-addr").iter().collect();
        assert_eq!(values, ["6.6.6.6:6", "127.0.0.1:9"]);
        assert_eq!(headers["spin-full-url"], "http://example.com/a?b=c");
        assert_eq!(headers["spin-component-route"], "");
    }

    #[test]
    fn a_client_cannot_pretend_to_be_a_component() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("sentiment.spin.internal"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        strip_forbidden(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_value_that_is_not_utf8_is_an_error() {
        let mut headers = HeaderMap::new();
        headers.insert("x-odd", HeaderValue::from_bytes(b"\xff").expect("a value"));
        let found = Match::between_components("one", "/");
        let client = "127.0.0.1:9".parse().expect("an address");
        assert!(append_own(&mut headers, &Uri::from_static("/"), &found, client).is_err());
    }
}
