//! `allowed_outbound_hosts`: which addresses a component may reach, by Spin's rules.

use std::net::IpAddr;
use std::ops::Range;

use anyhow::{Context, Result, bail};
use url::Host;

use crate::variables::Variables;

const CHAINING_DOMAIN: &str = "spin.internal";

/// The addresses that one component may reach.
pub struct AllowedHosts(Vec<Pattern>);

struct Pattern {
    /// None allows any scheme.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Clone)]
enum HostPattern {
    Any,
    /// Only requests of the application to itself.
    OwnApplication,
    /// The suffix, with its leading dot.
    Subdomain(String),
    Exactly(Host),
    Network(IpAddr, u8),
}

#[derive(Clone)]
enum PortPattern {
    Any,
    Exactly(u16),
    Within(Range<u16>),
}

impl AllowedHosts {
    /// Parses the manifest's patterns with variables filled in; `component_ids` are what
    /// `*.spin.internal` stands for.
    pub fn parse(
        patterns: &[String],
        variables: &Variables,
        component_ids: &[&str],
    ) -> Result<Self> {
        let mut allowed = Vec::new();
        for template in patterns {
            let pattern = variables.render(template)?;
            // An empty variable switches a destination off.
            let templated = template.contains("{{");
            if templated && matches!(pattern.as_str(), "" | "http://" | "https://") {
                continue;
            }
            let pattern = Pattern::parse(&pattern)
                .with_context(|| format!("allowed_outbound_hosts entry {template:?}"))?;
            allowed.extend(pattern.expand(component_ids));
        }
        Ok(Self(allowed))
    }

    /// Whether `url` may be reached; without a scheme of its own it gets `scheme`.
    ///
    /// A refusal is told on stderr with the line that would allow it.
    pub fn allows(&self, url: &str, scheme: &str) -> bool {
        let destination = match Destination::parse(url, scheme) {
            Ok(destination) => destination,
            Err(error) => {
                tracing::warn!(
                    "A component tried to make a request to a url that could not be parsed: {error}"
                );
                return false;
            }
        };
        let allowed = self.0.iter().any(|pattern| pattern.allows(&destination));
        if !allowed {
            tell_refusal(&destination.scheme, &destination.authority());
        }
        allowed
    }

    /// Whether the application may send HTTP requests to itself.
    pub fn allows_own_application(&self) -> bool {
        let allowed = self.0.iter().any(Pattern::allows_own_application);
        if !allowed {
            tell_refusal("http", "self");
        }
        allowed
    }
}

fn tell_refusal(scheme: &str, authority: &str) {
    let pattern = format!("{scheme}://{authority}");
    eprintln!(
        "A component tried to make an outbound network connection to disallowed destination '{pattern}'.\n\
         To allow this request, add 'allowed_outbound_hosts = [\"{pattern}\"]' to the manifest component section."
    );
}

/// The component that `uri` addresses by `<component>.spin.internal`, if it does.
pub fn chaining_target(uri: &http::Uri) -> Option<&str> {
    chaining_component(uri.authority()?.host())
}

/// The component in `<component>.spin.internal[:port]`, if `host` is of that form.
pub fn chaining_component(host: &str) -> Option<&str> {
    let host = host.trim();
    let (host, _) = host.rsplit_once(':').unwrap_or((host, ""));
    let (component, domain) = host.split_once('.')?;
    (domain == CHAINING_DOMAIN).then_some(component)
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.trim().split_once("://") else {
            bail!("must be of the form <scheme>://<host>[:<port>]");
        };
        let (host, port) = split_port(rest)?;
        Ok(Self {
            port: PortPattern::parse(port, scheme)?,
            host: HostPattern::parse(host.trim())?,
            scheme: parse_scheme(scheme)?,
        })
    }

    /// `*.spin.internal` means the components of this application.
    fn expand(self, component_ids: &[&str]) -> Vec<Self> {
        match &self.host {
            HostPattern::Subdomain(suffix) if suffix[1..] == *CHAINING_DOMAIN => component_ids
                .iter()
                .map(|id| Self {
                    scheme: self.scheme.clone(),
                    host: HostPattern::Exactly(Host::Domain(format!("{id}{suffix}"))),
                    port: self.port.clone(),
                })
                .collect(),
            _ => vec![self],
        }
    }

    fn allows(&self, destination: &Destination) -> bool {
        let scheme = &self.scheme;
        scheme.as_ref().is_none_or(|s| *s == destination.scheme)
            && self.host.allows(&destination.host)
            && self.port.allows(destination)
    }

    fn allows_own_application(&self) -> bool {
        let scheme = self.scheme.as_deref();
        matches!(scheme, None | Some("http" | "https"))
            && matches!(self.host, HostPattern::Any | HostPattern::OwnApplication)
    }
}

fn parse_scheme(scheme: &str) -> Result<Option<String>> {
    if scheme == "*" {
        return Ok(None);
    }
    if !scheme.chars().all(char::is_alphabetic) {
        bail!("scheme {scheme:?} may only have alphabetic characters");
    }
    Ok(Some(scheme.to_owned()))
}

/// Splits `host:port`; an IPv6 address or network has colons that are no port's.
fn split_port(rest: &str) -> Result<(&str, &str)> {
    match rest.rsplit_once(':') {
        None => Ok((rest, "")),
        Some((host, "")) => Ok((host, "")),
        Some(_) if HostPattern::parse(rest).is_ok() => Ok((rest, "")),
        Some((host, port)) => match port.split_once('/') {
            Some((port, "")) => Ok((host, port)),
            Some(_) => bail!("may not have a path"),
            None => Ok((host, port)),
        },
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self> {
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::OwnApplication),
            _ => {}
        }
        if let Some((address, bits)) = parse_network(host) {
            return Ok(Self::Network(address, bits));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.contains('/') {
            bail!("may not have a path");
        }
        if let Some(domain) = host.strip_prefix("*.") {
            return match Host::parse(domain)? {
                Host::Domain(domain) if !domain.contains('*') => {
                    Ok(Self::Subdomain(format!(".{domain}")))
                }
                _ => bail!("a wildcard stands before a domain"),
            };
        }
        if host.contains('*') {
            bail!("wildcards are allowed only as subdomains");
        }
        Ok(Self::Exactly(Host::parse(host)?))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Exactly(allowed), host) => allowed == host,
            (Self::Network(network, bits), Host::Ipv4(address)) => {
                in_network(*network, *bits, IpAddr::V4(*address))
            }
            (Self::Network(network, bits), Host::Ipv6(address)) => {
                in_network(*network, *bits, IpAddr::V6(*address))
            }
            _ => false,
        }
    }
}

/// `address/bits`, as in `10.0.0.0/8`.
fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    (bits <= width).then_some((address, bits))
}

fn in_network(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => (u128::from(n.to_bits()), u128::from(a.to_bits()), 32),
        (IpAddr::V6(n), IpAddr::V6(a)) => (n.to_bits(), a.to_bits(), 128),
        _ => return false,
    };
    let host_bits = u32::from(width - bits);
    let prefix = |value: u128| value.checked_shr(host_bits).unwrap_or(0);
    prefix(network) == prefix(address)
}

impl PortPattern {
    fn parse(port: &str, scheme: &str) -> Result<Self> {
        let number = |text: &str| {
            let number = text.parse::<u16>();
            number.with_context(|| format!("port {port:?} is not a number"))
        };
        match port {
            "*" => Ok(Self::Any),
            "" => well_known_port(scheme)
                .map(Self::Exactly)
                .with_context(|| format!("scheme {scheme:?} has no default port: give one")),
            _ => match port.split_once("..") {
                Some((start, end)) => Ok(Self::Within(number(start)?..number(end)?)),
                None => Ok(Self::Exactly(number(port)?)),
            },
        }
    }

    fn allows(&self, destination: &Destination) -> bool {
        let port = destination
            .port
            .or_else(|| well_known_port(&destination.scheme));
        match (self, port) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::Exactly(allowed), Some(port)) => *allowed == port,
            (Self::Within(range), Some(port)) => range.contains(&port),
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An address that a component wants to reach.
struct Destination {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Destination {
    fn parse(url: &str, scheme: &str) -> Result<Self> {
        let url = without_user(url);
        let parsed = match url::Url::parse(&url) {
            Ok(parsed) if parsed.has_host() => parsed,
            _ => url::Url::parse(&format!("{scheme}://{url}"))?,
        };
        Ok(Self {
            scheme: parsed.scheme().to_owned(),
            host: Host::parse(parsed.host_str().context("no host")?)?,
            port: parsed.port(),
        })
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }
}

/// Drops `user:password@`, which may hold characters that no URL may have.
fn without_user(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest.find('@') {
        Some(at) if at < authority_end => format!("{scheme}{}", &rest[at + 1..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    fn allowed(patterns: &[&str]) -> AllowedHosts {
        let variables =
            Variables::resolve(&BTreeMap::new(), &HashMap::new()).expect("no variables");
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        AllowedHosts::parse(&patterns, &variables, &["sentiment"]).expect("right patterns")
    }

    fn refused(pattern: &str) -> bool {
        Pattern::parse(pattern).is_err()
    }

    #[test]
    fn scheme_host_and_port_must_all_fit() {
        let hosts = allowed(&["postgres://db:5433", "https://*.example.com"]);
        assert!(hosts.allows("postgres://me:p%ss@db:5433/x", "postgres"));
        assert!(hosts.allows("db:5433", "postgres"));
        assert!(!hosts.allows("db", "postgres"));
        assert!(!hosts.allows("redis://db:5433", "redis"));
        assert!(hosts.allows("https://api.example.com/path", "https"));
        assert!(!hosts.allows("https://example.com", "https"));
        assert!(!hosts.allows("http://api.example.com", "https"));
    }

    #[test]
    fn default_ports_networks_and_wildcards() {
        let hosts = allowed(&["redis://cache", "http://10.1.0.0/16:*", "http://[::1]:80"]);
        assert!(hosts.allows("redis://:secret@cache/0", "redis"));
        assert!(hosts.allows("redis://cache:6379", "redis"));
        assert!(!hosts.allows("redis://cache:6380", "redis"));
        assert!(hosts.allows("http://10.1.255.1:8080", "https"));
        assert!(!hosts.allows("http://10.2.0.1", "https"));
        assert!(hosts.allows("http://[::1]/", "https"));
        assert!(allowed(&["*://*:*"]).allows("tcp://anything:1", "tcp"));
    }

    #[test]
    fn components_are_reached_only_where_named() {
        assert!(allowed(&["http://*.spin.internal"]).allows("http://sentiment.spin.internal", ""));
        assert!(!allowed(&["http://*.spin.internal"]).allows("http://other.spin.internal", ""));
        assert!(!allowed(&["http://example.com"]).allows("http://sentiment.spin.internal", ""));
        assert_eq!(chaining_component("auth.spin.internal:80"), Some("auth"));
        assert_eq!(chaining_component("auth.spin.internal.example.com"), None);
    }

    #[test]
    fn the_own_application_must_be_allowed_by_name() {
        assert!(allowed(&["http://self"]).allows_own_application());
        assert!(!allowed(&["http://localhost:*"]).allows_own_application());
        assert!(!allowed(&["redis://self"]).allows_own_application());
    }

    #[test]
    fn wrong_patterns_are_refused() {
        assert!(refused("example.com"));
        assert!(refused("http://example.com/path"));
        assert!(refused("http://a.*.com"));
        assert!(refused("gopher://example.com"));
        assert!(refused("http://example.com:eighty"));
    }
}
