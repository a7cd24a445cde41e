//! A running application: its components, compiled and linked, and what they share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use anyhow::{Context, Result};
use wasmtime::Engine;
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::allowed_hosts::AllowedHosts;
use crate::engine;
use crate::instances::Instances;
use crate::limits::Limit;
use crate::logs::Logs;
use crate::manifest::{self, Manifest};
use crate::outbound_http::HttpClients;
use crate::postgres_pool::Pools;
use crate::routes::Router;
use crate::runtime_config::RuntimeConfig;
use crate::variables::Variables;

/// A running application.
pub struct App {
    /// `[application] name`.
    pub name: String,
    /// `[application] version`.
    pub version: Option<String>,
    /// The public routes.
    pub router: Router,
    /// Where the application itself listens, once it does: for its requests to itself.
    pub own_address: OnceLock<std::net::SocketAddr>,
    handlers: HashMap<String, ProxyHandler<Instances>>,
}

/// What all instances of one component share.
pub struct Component {
    /// The component's id in the manifest.
    pub id: String,
    /// The component's variables with their values.
    pub variables: HashMap<String, String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where it may connect to.
    pub allowed_hosts: AllowedHosts,
    /// Where its output goes.
    pub logs: Logs,
    /// Bytes of memory an instance may have.
    pub max_instance_memory: Option<usize>,
    /// Its Postgres connections.
    pub postgres: Pools,
    /// How many Postgres connections the application may hold.
    pub postgres_limit: Limit,
    /// How many Redis connections the application may hold.
    pub redis_limit: Limit,
    /// Outbound HTTP connections, shared with the other components.
    pub http: Arc<HttpClients>,
    engine: Engine,
    app: Weak<App>,
}

/// How the caller wants the application to run.
pub struct Options {
    /// Values of variables that win over all others.
    pub variables: HashMap<String, String>,
    /// Folder for the components' output files.
    pub log_dir: Option<PathBuf>,
    /// Whether components' output goes to the console as well.
    pub to_console: bool,
}

impl App {
    /// Compiles and links everything that `manifest` names.
    ///
    /// Nothing runs yet; errors are for the person who started the host.
    pub fn load(manifest: Manifest, config: RuntimeConfig, options: Options) -> Result<Arc<Self>> {
        let mut given = config.variables.clone();
        given.extend(options.variables.clone());
        let variables = Variables::resolve(&manifest.variables, &given)?;
        let router = Router::new(&manifest.triggers)?;
        let engine = engine::new()?;
        let linker = engine::linker(&engine)?;
        let compiled = engine::compile_all(&engine, &linker, &manifest.components)?;
        let http = Arc::new(HttpClients::new(config.http_pooling, config.http.clone()));
        let ids: Vec<&str> = manifest.components.iter().map(|c| c.id.as_str()).collect();

        let mut failure = None;
        let app = Arc::new_cyclic(|app| {
            let mut handlers = HashMap::new();
            for (declared, pre) in manifest.components.iter().zip(compiled) {
                let shared = Shared {
                    config: &config,
                    options: &options,
                    variables: &variables,
                    ids: &ids,
                };
                match shared.component(declared, &engine, &http, app) {
                    Ok(component) => {
                        let instances = Instances::new(Arc::new(component), pre);
                        handlers.insert(declared.id.clone(), ProxyHandler::new(instances));
                    }
                    Err(error) => failure = Some(error),
                }
            }
            Self {
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                router,
                own_address: OnceLock::new(),
                handlers,
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(app),
        }
    }

    /// What runs the component `id`.
    pub fn handler(&self, id: &str) -> Option<&ProxyHandler<Instances>> {
        self.handlers.get(id)
    }
}

struct Shared<'a> {
    config: &'a RuntimeConfig,
    options: &'a Options,
    variables: &'a Variables,
    ids: &'a [&'a str],
}

impl Shared<'_> {
    fn component(
        &self,
        declared: &manifest::Component,
        engine: &Engine,
        http: &Arc<HttpClients>,
        app: &Weak<App>,
    ) -> Result<Component> {
        let id = &declared.id;
        let at_fault = || format!("component {id}");
        let mut variables = HashMap::new();
        for (name, template) in &declared.variables {
            let value = self.variables.render(template);
            let value = value.with_context(|| format!("component {id}, variable {name}"))?;
            variables.insert(name.clone(), value);
        }
        let patterns = &declared.allowed_outbound_hosts;
        let allowed_hosts = AllowedHosts::parse(patterns, self.variables, self.ids);
        let log_dir = self.options.log_dir.as_deref();
        Ok(Component {
            id: id.clone(),
            variables,
            environment: declared.environment.clone().into_iter().collect(),
            allowed_hosts: allowed_hosts.with_context(at_fault)?,
            logs: Logs::open(log_dir, id, self.options.to_console)?,
            max_instance_memory: self.config.max_instance_memory,
            postgres: Pools::default(),
            postgres_limit: self.config.postgres.clone(),
            redis_limit: self.config.redis.clone(),
            http: http.clone(),
            engine: engine.clone(),
            app: app.clone(),
        })
    }
}

impl Component {
    /// The engine that the component was compiled for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The application, as long as it runs.
    pub fn app(&self) -> Option<Arc<App>> {
        self.app.upgrade()
    }
}
