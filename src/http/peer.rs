//! Who asks, and over what: told by Spin and by trusted proxies, not by the client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;

/// A header's last value. Spin appends its own headers after the client's, so that only the last is Spin's.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()
}

/// The `hops`-th element from the right of a list that may be spread over several header lines.
fn from_right<'a>(headers: &'a HeaderMap, name: &str, hops: usize) -> Option<&'a str> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(','))
        .map(str::trim)
        .nth(hops.checked_sub(1)?)
}

/// The client's address: what the outermost trusted proxy saw, or else the peer's.
pub fn client(headers: &HeaderMap, hops: usize) -> IpAddr {
    from_right(headers, "x-forwarded-for", hops)
        .and_then(parse_address)
        .or_else(|| parse_address(last(headers, "spin-client-addr")?))
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse())
        .map(|address| address.to_canonical())
        .ok()
}

/// Whether the client's request came over TLS.
pub fn came_over_tls(headers: &HeaderMap, hops: usize) -> bool {
    last(headers, "spin-full-url").is_some_and(|url| url.starts_with("https://"))
        || hops > 0
            && from_right(headers, "x-forwarded-proto", hops)
                .or_else(|| from_right(headers, "x-forwarded-proto", 1))
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    #[test]
    fn a_forged_peer_address_comes_first_and_is_not_believed() {
        let forged = headers(&[
            ("spin-client-addr", "1.2.3.4:1"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        assert_eq!(client(&forged, 0).to_string(), "127.0.0.1");
    }

    #[test]
    fn proxies_are_trusted_from_the_right_and_no_further() {
        let forwarded = headers(&[
            ("x-forwarded-for", "6.6.6.6, 10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        let at = |hops| client(&forwarded, hops).to_string();
        assert_eq!(at(0), "127.0.0.1");
        assert_eq!(at(1), "10.0.0.2");
        assert_eq!(at(2), "10.0.0.1");
        assert_eq!(at(9), "127.0.0.1");
    }

    #[test]
    fn addresses_come_with_and_without_ports() {
        let parsed = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(parsed("10.0.0.1:80").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("[2001:db8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("unknown"), None);
    }

    #[test]
    fn tls_is_believed_of_spin_and_of_trusted_proxies_only() {
        assert!(came_over_tls(
            &headers(&[("spin-full-url", "https://a/")]),
            0
        ));
        let proxied = headers(&[
            ("spin-full-url", "https://forged/"),
            ("spin-full-url", "http://a/"),
            ("x-forwarded-proto", "https"),
        ]);
        assert!(!came_over_tls(&proxied, 0));
        assert!(came_over_tls(&proxied, 1));
        assert!(came_over_tls(&proxied, 2));
    }
}
