//! The client's address and scheme, as reported by Spin and by trusted proxies, never by the client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;

use super::request::{FromRequest, Request};
use crate::error::Error;

/// The address by which a client is rate limited.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl FromRequest for ClientAddress {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        let hops = request.config.trusted_proxy_hops;
        Ok(Self(client_address(&request.headers, hops)))
    }
}

/// Returns the last value of a header. Spin appends its own headers after the client's, so only the last one is Spin's.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?;
    str::from_utf8(value.as_bytes()).ok()
}

/// Returns the `hops`-th element from the right of a list that may span several header lines.
///
/// Lines are split as bytes. What a client writes to the left of the proxies'
/// elements, whether it is text or not, therefore never moves their positions.
fn from_right<'a>(headers: &'a HeaderMap, name: &str, hops: usize) -> Option<&'a str> {
    let element = headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .nth(hops.checked_sub(1)?)?;
    str::from_utf8(element).ok().map(str::trim)
}

/// Returns the client's address: the one that the outermost trusted proxy saw, or the peer's if there is none.
pub(super) fn client_address(headers: &HeaderMap, hops: usize) -> IpAddr {
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

/// Returns whether the client used TLS.
pub(super) fn is_https(headers: &HeaderMap, hops: usize) -> bool {
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

    /// `forged` is what a client sends: the lines of its header.
    #[test]
    fn fuzz_forwarded_addresses() {
        const SEEN_BY_THE_PROXY: &[u8] = b"10.0.0.2";
        bolero::check!().for_each(|forged: &[u8]| {
            let lines: Vec<&[u8]> = forged.split(|byte| *byte == b'\n').collect();
            let address = |lines: &[&[u8]]| {
                let mut headers = headers(&[("spin-client-addr", "127.0.0.1:5000")]);
                for line in lines {
                    // The host refuses other bytes in headers.
                    if let Ok(value) = http::HeaderValue::from_bytes(line) {
                        headers.append("x-forwarded-for", value);
                    }
                }
                client_address(&headers, 1).to_string()
            };
            // A proxy appends a line, or appends to the last line.
            let mut appended = lines.clone();
            appended.push(SEEN_BY_THE_PROXY);
            assert_eq!(address(&appended), "10.0.0.2");
            let Some((last, others)) = lines.split_last() else {
                return;
            };
            let last = [last, b", ".as_slice(), SEEN_BY_THE_PROXY].concat();
            if http::HeaderValue::from_bytes(&last).is_ok() {
                assert_eq!(address(&[others, &[last.as_slice()]].concat()), "10.0.0.2");
            }
        });
    }

    #[test]
    fn ignores_a_forged_peer_address() {
        let forged = headers(&[
            ("spin-client-addr", "1.2.3.4:1"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        assert_eq!(client_address(&forged, 0).to_string(), "127.0.0.1");
    }

    #[test]
    fn trusts_the_configured_number_of_proxies_from_the_right() {
        let forwarded = headers(&[
            ("x-forwarded-for", "6.6.6.6, 10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("spin-client-addr", "127.0.0.1:5000"),
        ]);
        let at = |hops| client_address(&forwarded, hops).to_string();
        assert_eq!(at(0), "127.0.0.1");
        assert_eq!(at(1), "10.0.0.2");
        assert_eq!(at(2), "10.0.0.1");
        assert_eq!(at(9), "127.0.0.1");
    }

    #[test]
    fn a_client_cannot_move_the_trusted_element() {
        let address = |lines: &[&[u8]]| {
            let mut headers = headers(&[("spin-client-addr", "127.0.0.1:5000")]);
            for line in lines {
                let value = http::HeaderValue::from_bytes(line).expect("a header value");
                headers.append("x-forwarded-for", value);
            }
            client_address(&headers, 1).to_string()
        };
        for lines in [
            [b"10.0.0.2".as_slice()].as_slice(),
            &[b"6.6.6.6, 10.0.0.2"],
            &[b"6.6.6.6", b"10.0.0.2"],
            &[b"\xff\xfe, 10.0.0.2"],
            &[b"\xff\xfe,,\t10.0.0.2 "],
            &[b"\xff", b"6.6.6.6,\xe9", b"10.0.0.2"],
        ] {
            assert_eq!(address(lines), "10.0.0.2", "{lines:?}");
        }
    }

    #[test]
    fn parses_addresses_with_and_without_ports() {
        let parsed = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(parsed("10.0.0.1:80").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("[2001:db8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(parsed("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(parsed("unknown"), None);
    }

    #[test]
    fn trusts_the_scheme_of_spin_and_of_trusted_proxies_only() {
        assert!(is_https(&headers(&[("spin-full-url", "https://a/")]), 0));
        let proxied = headers(&[
            ("spin-full-url", "https://forged/"),
            ("spin-full-url", "http://a/"),
            ("x-forwarded-proto", "https"),
        ]);
        assert!(!is_https(&proxied, 0));
        assert!(is_https(&proxied, 1));
        assert!(is_https(&proxied, 2));
    }
}
