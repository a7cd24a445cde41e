//! Reads `runtime-config.toml`: limits on outbound connections.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::limits::ConnectionLimit;

/// The runtime configuration. Sections that the host does not implement are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// `[outbound_http]`.
    pub outbound_http: OutboundHttp,
    /// `[outbound_pg]`.
    pub outbound_pg: Connections,
    /// `[outbound_redis]`.
    pub outbound_redis: Connections,
}

/// `[outbound_http]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundHttp {
    /// Keeps connections for later requests. As in Spin, a section without this key turns it off.
    #[serde(default)]
    pub connection_pooling: bool,
    /// Requests in flight, over all components.
    #[serde(default)]
    pub max_connections: ConnectionLimit,
}

/// A section with a limit on connections.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Connections that components hold, over all components.
    #[serde(default)]
    pub max_connections: ConnectionLimit,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            outbound_http: OutboundHttp {
                connection_pooling: true,
                max_connections: ConnectionLimit::default(),
            },
            outbound_pg: Connections::default(),
            outbound_redis: Connections::default(),
        }
    }
}

impl RuntimeConfig {
    /// Reads the file at `path`, or returns Spin's defaults.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let error = || format!("cannot read the runtime configuration {}", path.display());
        let text = std::fs::read_to_string(path).with_context(error)?;
        toml::from_str(&text).with_context(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RuntimeConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_section_without_pooling_turns_it_off() {
        let pooling = |text| {
            let config = parse(text).expect("the text is valid");
            config.outbound_http.connection_pooling
        };
        assert!(pooling(""));
        assert!(!pooling("[outbound_http]\nmax_connections = 3\n"));
        assert!(pooling("[outbound_http]\nconnection_pooling = true\n"));
    }

    #[test]
    fn rejects_unknown_sections_and_keys_by_name() {
        let error = |text| parse(text).expect_err("the text is invalid").to_string();
        let section = error("[outbound_postgres]\nmax_connections = 3\n");
        assert!(
            section.contains("unknown field `outbound_postgres`"),
            "{section}"
        );
        let key = error("[outbound_pg]\nmax = 3\n");
        assert!(key.contains("unknown field `max`"), "{key}");
    }
}
