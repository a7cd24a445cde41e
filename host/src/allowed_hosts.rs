//! `allowed_outbound_hosts`: the servers and components that a component may reach.

use anyhow::{Context, Result, ensure};
use url::{Host, Url};

use crate::logs;

/// The destinations that one component may reach.
pub struct AllowedHosts(Vec<Destination>);

#[derive(Debug, PartialEq, Eq)]
struct Destination {
    scheme: String,
    host: Host,
    port: u16,
}

impl AllowedHosts {
    /// Parses the entries of a manifest, after their variables have been replaced.
    ///
    /// An empty entry allows nothing, so that an empty variable turns a destination off.
    pub fn parse(entries: &[String]) -> Result<Self> {
        let entries = entries.iter().filter(|entry| !entry.is_empty());
        let destinations = entries.map(|entry| {
            parse_entry(entry).with_context(|| format!("allowed_outbound_hosts entry {entry:?}"))
        });
        Ok(Self(destinations.collect::<Result<_>>()?))
    }

    /// Returns whether `url` may be reached. Prints how to allow it otherwise, as Spin does.
    pub fn allows(&self, url: &str) -> bool {
        let destination = match Destination::parse(url) {
            Ok(destination) => destination,
            Err(error) => {
                tracing::warn!("a component requested an invalid URL: {error:#}");
                return false;
            }
        };
        let is_allowed = self.0.contains(&destination);
        if !is_allowed {
            let Destination { scheme, host, port } = destination;
            let entry = if default_port(&scheme) == Some(port) {
                format!("{scheme}://{host}")
            } else {
                format!("{scheme}://{host}:{port}")
            };
            logs::print_error(format_args!(
                "A component tried to make an outbound network connection to disallowed destination '{entry}'.\n\
                 To allow this request, add 'allowed_outbound_hosts = [\"{entry}\"]' to the manifest component section."
            ));
        }
        is_allowed
    }
}

fn parse_entry(entry: &str) -> Result<Destination> {
    ensure!(
        !entry.contains(['*', '@', '?', '#']) && !entry.contains(".."),
        "must be <scheme>://<host>[:<port>]; the embedded host supports no wildcards and no ranges"
    );
    let has_path = Url::parse(entry).is_ok_and(|url| !matches!(url.path(), "" | "/"));
    ensure!(!has_path, "must not have a path");
    Destination::parse(entry)
}

impl Destination {
    fn parse(url: &str) -> Result<Self> {
        let url = Url::parse(url).context("must be <scheme>://<host>[:<port>]")?;
        let scheme = url.scheme();
        let port = url.port().or_else(|| default_port(scheme));
        Ok(Self {
            // Only some schemes have their hosts normalized by `Url`.
            host: Host::parse(url.host_str().context("has no host")?)?,
            port: port
                .with_context(|| format!("scheme {scheme:?} has no default port: add one"))?,
            scheme: scheme.to_owned(),
        })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" => Some(5432),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str]) -> AllowedHosts {
        let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
        AllowedHosts::parse(&entries).expect("the entries are valid")
    }

    #[test]
    fn compares_scheme_host_and_port() {
        let hosts = allowed(&["postgres://db:5433", "https://API.example.com"]);
        assert!(hosts.allows("postgres://db:5433"));
        assert!(!hosts.allows("postgres://db"));
        assert!(!hosts.allows("redis://db:5433"));
        assert!(hosts.allows("https://api.example.com/path?query"));
        assert!(!hosts.allows("https://example.com"));
        assert!(!hosts.allows("http://api.example.com"));
    }

    #[test]
    fn adds_default_ports_and_ignores_credentials() {
        let hosts = allowed(&["redis://cache", "rediss://cache:6380", "http://[::1]:80/"]);
        assert!(hosts.allows("redis://user:secret@cache:6379/0"));
        assert!(!hosts.allows("redis://cache:6380"));
        assert!(hosts.allows("rediss://cache:6380"));
        assert!(hosts.allows("http://[::1]/"));
    }

    #[test]
    fn skips_empty_entries() {
        assert!(allowed(&["", "http://a"]).allows("http://a"));
        assert!(!allowed(&[""]).allows("http://a"));
    }

    #[test]
    fn rejects_invalid_and_unsupported_entries() {
        for entry in [
            "example.com",
            "http://example.com/path",
            "http://*.example.com",
            "http://example.com:80..90",
            "http://example.com:eighty",
            "gopher://example.com",
            "self",
        ] {
            assert!(AllowedHosts::parse(&[entry.to_owned()]).is_err(), "{entry}");
        }
    }
}
