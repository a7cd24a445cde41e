//! The service as a process with the settings of the tests.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use testbed::runtime::{App, Kind, Options};
use testbed::settings::{database_host, redis_host};

use super::client::client_builder;

/// The key that all instances sign with, so that tests can forge tokens, the token for `POST /internal/sweep`, and that for
/// the model's server.
pub use testbed::settings::{
    TEST_JWT_KEY as JWT_KEY, TEST_MODEL_TOKEN as MODEL_TOKEN, TEST_SWEEP_TOKEN as SWEEP_TOKEN,
};

/// `github_timeout_ms` of all instances.
const MODEL_TIMEOUT_MS: &str = "1500";

/// Returns owned copies of names and values.
pub fn owned(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned)
}

/// Returns the settings of an instance over these servers.
pub fn variables(
    database_url: &str,
    redis_url: &str,
    model_host: &str,
) -> Result<BTreeMap<String, String>> {
    let settings = [
        ("database_url", database_url),
        ("redis_url", redis_url),
        ("database_host", &database_host(database_url)?),
        ("redis_host", &redis_host(redis_url)?),
        ("jwt_secret_key", JWT_KEY),
        ("github_models_host", model_host),
        ("github_token", MODEL_TOKEN),
        ("github_timeout_ms", MODEL_TIMEOUT_MS),
        ("sweep_token", SWEEP_TOKEN),
        ("trusted_proxy_hops", "1"),
        // No test reaches these by accident, and every write and call is counted.
        ("write_limit", "100000/1m"),
        ("model_limit", "100000/1d"),
    ];
    Ok(owned(&settings).collect())
}

/// Starts the service on a free port.
pub async fn start_app(
    runtime: Kind,
    state_dir: PathBuf,
    variables: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
) -> Result<App> {
    let options = Options {
        manifest: testbed::workspace().join("spin.toml"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        variables,
        environment,
        state_dir,
        inherit_output: false,
    };
    App::start(runtime, options).await
}

/// Returns the OpenAPI document that a service serves.
pub async fn fetch_document(url: &str) -> Result<serde_json::Value> {
    let client = client_builder().build()?;
    let response = client.get(format!("{url}/openapi.json")).send().await?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}
