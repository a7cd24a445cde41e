//! Loads the application and passes requests to its components.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use anyhow::{Context, Result, anyhow};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::allowed_hosts::AllowedHosts;
use crate::component::{Component, Shared};
use crate::engine::Compiler;
use crate::http_client::HttpClient;
use crate::instances::Instances;
use crate::logs::Logs;
use crate::manifest::{self, Application, Manifest};
use crate::postgres_pool::Pools;
use crate::request_headers;
use crate::resolver::Resolver;
use crate::router::{RouteMatch, Router};
use crate::runtime_config::RuntimeConfig;

/// The client address that a component sees when another component calls it.
const COMPONENT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A running application.
pub struct App {
    /// Its name and version.
    pub application: Application,
    /// Its public routes.
    pub router: Router,
    handlers: HashMap<String, ProxyHandler<Instances>>,
}

impl App {
    /// Compiles and links the components that a trigger names.
    pub fn load(
        manifest: Manifest,
        config: &RuntimeConfig,
        resolver: &Resolver,
        log_folder: Option<&Path>,
    ) -> Result<Arc<Self>> {
        let router = Router::new(&manifest.trigger.http)?;
        let http = &config.outbound_http;
        let shared = Arc::new(Shared {
            http: HttpClient::new(http.connection_pooling, http.max_connections.clone()),
            postgres_limit: config.outbound_pg.max_connections.clone(),
            redis_limit: config.outbound_redis.max_connections.clone(),
            call: OnceLock::new(),
        });
        let compiler = Compiler::new()?;
        let load = |id: &str, declared: &manifest::Component| {
            let pre = compiler.compile(id, declared)?;
            let component = load_component(id, declared, resolver, log_folder, &shared)
                .with_context(|| format!("component {id}"))?;
            let instances = Instances::new(Arc::new(component), pre);
            Ok((id.to_owned(), ProxyHandler::new(instances)))
        };
        let is_used = |id: &str| manifest.trigger.http.iter().any(|t| t.component == id);
        // Compiling takes seconds without the cache, so each component gets a thread.
        let handlers = std::thread::scope(|scope| {
            let used = manifest.component.iter().filter(|(id, _)| is_used(id));
            let threads: Vec<_> = used
                .map(|(id, declared)| scope.spawn(|| load(id, declared)))
                .collect();
            let results = threads.into_iter().map(|thread| thread.join());
            results
                .map(|result| result.map_err(|_| anyhow!("the compiler panicked"))?)
                .collect::<Result<_>>()
        })?;
        let app = Arc::new(Self {
            application: manifest.application,
            router,
            handlers,
        });
        let weak = Arc::downgrade(&app);
        let call = move |id, request| -> futures::future::BoxFuture<'static, _> {
            Box::pin(call_component(weak.clone(), id, request))
        };
        shared.call.get_or_init(|| Box::new(call));
        Ok(app)
    }

    /// Passes a request to a component. Returns an empty 500 if the component fails.
    ///
    /// # Errors
    ///
    /// The request has no valid `Host`, or there is no such component.
    pub async fn handle(
        &self,
        request: Request<WasiBody>,
        found: RouteMatch,
        client: SocketAddr,
    ) -> Result<Response<WasiBody>> {
        let (mut parts, body) = request.into_parts();
        request_headers::complete_uri(&mut parts)?;
        let id = &found.component;
        let handler = self.handlers.get(id);
        let handler = handler.with_context(|| format!("there is no component {id}"))?;
        let response = match request_headers::append(&mut parts, &found, client) {
            Ok(()) => {
                let request = Request::from_parts(parts, body);
                handler.handle((), request).await.map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        Ok(response.unwrap_or_else(|error: anyhow::Error| {
            tracing::error!("request to component {id} failed: {error:#}");
            empty_response(StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }
}

/// Returns a response without a body, as Spin does where no component answers.
pub fn empty_response(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
    *response.status_mut() = status;
    response
}

async fn call_component(
    app: Weak<App>,
    id: String,
    request: Request<WasiBody>,
) -> Result<Response<WasiBody>> {
    let app = app.upgrade().context("the application has ended")?;
    let found = RouteMatch::of_call(id, request.uri().path());
    app.handle(request, found, COMPONENT_ADDRESS).await
}

fn load_component(
    id: &str,
    declared: &manifest::Component,
    resolver: &Resolver,
    log_folder: Option<&Path>,
    shared: &Arc<Shared>,
) -> Result<Component> {
    let mut variables = HashMap::new();
    for (name, template) in &declared.variables {
        variables.insert(name.clone(), resolver.render(template)?);
    }
    let allowed = declared.allowed_outbound_hosts.iter();
    let allowed: Vec<_> = allowed
        .map(|entry| resolver.render(entry))
        .collect::<Result<_>>()?;
    Ok(Component {
        id: id.to_owned(),
        variables,
        allowed_hosts: AllowedHosts::parse(&allowed)?,
        logs: Logs::open(log_folder, id)?,
        postgres: Pools::default(),
        shared: shared.clone(),
    })
}
