//! Reads the runtime configuration file: the limits that Spin knows, and nothing that it does not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::limits::Limit;

/// What the file says, or what holds without one.
pub struct RuntimeConfig {
    /// Folder for local state; none when the file does not say.
    pub state_dir: Option<PathBuf>,
    /// Folder for the components' output; none when the file does not say.
    pub log_dir: Option<PathBuf>,
    /// Bytes of memory one instance may have.
    pub max_instance_memory: Option<usize>,
    /// Values from `[[variables_provider]]` entries, the first one winning.
    pub variables: HashMap<String, String>,
    /// Whether outbound HTTP connections are kept for later requests.
    pub http_pooling: bool,
    /// Outbound HTTP connections.
    pub http: Limit,
    /// Postgres connections in use.
    pub postgres: Limit,
    /// Redis connections.
    pub redis: Limit,
}

/// Every section that Spin knows. Those that this host cannot honour are read as plain values, to
/// tell them from misspelt ones.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    state_dir: Option<PathBuf>,
    log_dir: Option<PathBuf>,
    max_instance_memory: Option<usize>,
    #[serde(default, alias = "config_provider")]
    variables_provider: Vec<Provider>,
    outbound_http: Option<OutboundHttp>,
    #[serde(default)]
    outbound_pg: MaxConnections,
    #[serde(default)]
    outbound_redis: MaxConnections,
    #[serde(default)]
    outbound_networking: Networking,
    // For interfaces that no component of this host can import.
    #[serde(rename = "outbound_mysql")]
    _outbound_mysql: Option<toml::Value>,
    #[serde(rename = "outbound_mqtt")]
    _outbound_mqtt: Option<toml::Value>,
    #[serde(rename = "key_value_store")]
    _key_value_store: Option<toml::Value>,
    #[serde(rename = "sqlite_database")]
    _sqlite_database: Option<toml::Value>,
    #[serde(rename = "llm_compute")]
    _llm_compute: Option<toml::Value>,
    client_tls: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Provider {
    Static { values: HashMap<String, String> },
    Vault {},
    AzureKeyVault {},
    Env {},
}

/// A section without `connection_pooling` turns it off: so it is in Spin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboundHttp {
    #[serde(default)]
    connection_pooling: bool,
    max_connections: Option<usize>,
    max_concurrent_requests: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxConnections {
    max_connections: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Networking {
    #[serde(default)]
    block_networks: Vec<String>,
    // Sockets of the component's own are not in use here, but their limit is no mistake.
    #[serde(rename = "max_socket_connections")]
    _max_socket_connections: Option<usize>,
    max_total_connections: Option<usize>,
}

impl RuntimeConfig {
    /// Reads `path`; without one, everything is as Spin has it by default.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Self::check(Toml::default());
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the runtime configuration {shown}"))?;
        let toml = toml::from_str(&text).map_err(|error| anyhow::anyhow!("{error}"));
        toml.and_then(Self::check)
            .with_context(|| format!("runtime configuration {shown}"))
    }

    fn check(toml: Toml) -> Result<Self> {
        let unsupported = [
            ("client_tls", toml.client_tls.is_some()),
            (
                "outbound_networking.block_networks",
                !toml.outbound_networking.block_networks.is_empty(),
            ),
        ];
        for (key, is_set) in unsupported {
            ensure!(!is_set, "{key} is not supported by this host");
        }
        let total = toml.outbound_networking.max_total_connections;
        let total = total.map(|limit| Arc::new(Semaphore::new(limit)));
        let http = toml.outbound_http.as_ref();
        Ok(Self {
            state_dir: toml.state_dir,
            log_dir: toml.log_dir,
            max_instance_memory: toml.max_instance_memory,
            variables: provided(toml.variables_provider)?,
            http_pooling: http.is_none_or(|http| http.connection_pooling),
            http: Limit::new(http.map_or(Ok(None), OutboundHttp::limit)?, total.clone()),
            postgres: Limit::new(toml.outbound_pg.max_connections, total.clone()),
            redis: Limit::new(toml.outbound_redis.max_connections, total),
        })
    }
}

impl OutboundHttp {
    fn limit(&self) -> Result<Option<usize>> {
        match (self.max_connections, self.max_concurrent_requests) {
            (Some(_), Some(_)) => {
                bail!("outbound_http: set max_connections alone, without max_concurrent_requests")
            }
            // The old key counted from zero.
            (None, Some(limit)) => Ok(Some(limit + 1)),
            (limit, None) => Ok(limit),
        }
    }
}

fn provided(providers: Vec<Provider>) -> Result<HashMap<String, String>> {
    let mut variables = HashMap::new();
    for provider in providers {
        let Provider::Static { values } = provider else {
            bail!("variables_provider: this host has only the type \"static\"");
        };
        for (name, value) in values {
            variables.entry(name).or_insert(value);
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<RuntimeConfig> {
        RuntimeConfig::check(toml::from_str(text)?)
    }

    #[test]
    fn pooling_is_on_unless_a_section_leaves_it_out() {
        let pooling = |text| check(text).expect("a right file").http_pooling;
        assert!(pooling(""));
        assert!(!pooling("[outbound_http]\nmax_connections = 3\n"));
        assert!(pooling("[outbound_http]\nconnection_pooling = true\n"));
    }

    #[test]
    fn unknown_and_unsupported_sections_are_errors() {
        assert!(check("[outbound_postgres]\nmax_connections = 3\n").is_err());
        assert!(check("[outbound_pg]\nmax = 3\n").is_err());
        assert!(check("[outbound_networking]\nblock_networks = [\"private\"]\n").is_err());
        assert!(check("[[variables_provider]]\ntype = \"vault\"\n").is_err());
    }

    #[tokio::test]
    async fn a_limit_is_shared_with_the_total() {
        let config = check("[outbound_networking]\nmax_total_connections = 1\n");
        let config = config.expect("a right file");
        let held = config.postgres.acquire().await;
        let wait = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(wait, config.redis.acquire())
                .await
                .is_err()
        );
        drop(held);
        config.redis.acquire().await;
    }
}
