//! What all instances of a component share.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use futures::future::BoxFuture;
use http::{Request, Response};
use wasmtime_wasi_http::WasiBody;

use crate::allowed_hosts::AllowedHosts;
use crate::http_client::HttpClient;
use crate::limits::ConnectionLimit;
use crate::logs::Logs;
use crate::postgres_pool::Pools;

/// A component of the running application.
pub struct Component {
    /// Its id in the manifest.
    pub id: String,
    /// Its variables with their values.
    pub variables: HashMap<String, String>,
    /// Where it may connect to.
    pub allowed_hosts: AllowedHosts,
    /// Where its output goes.
    pub logs: Logs,
    /// Its Postgres connections.
    pub postgres: Pools,
    /// What it shares with the other components.
    pub shared: Arc<Shared>,
}

/// What all components of the application share.
pub struct Shared {
    /// Sends outbound HTTP requests.
    pub http: HttpClient,
    /// Limits the Postgres connections.
    pub postgres_limit: ConnectionLimit,
    /// Limits the Redis connections.
    pub redis_limit: ConnectionLimit,
    /// Calls a component by its id. Set once all components are loaded.
    pub call: OnceLock<ComponentCall>,
}

/// Sends a request to the component with an id, in this process.
pub type ComponentCall = Box<
    dyn Fn(String, Request<WasiBody>) -> BoxFuture<'static, Result<Response<WasiBody>>>
        + Send
        + Sync,
>;
