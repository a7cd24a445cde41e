//! `cargo xtask up`: builds, starts whatever is missing, and serves until Ctrl-C.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use testbed::progress::Progress;
use testbed::runtime::{self, App, Kind};
use testbed::settings::Settings;
use testbed::{migrate, postgres, redis};

use crate::build;
use crate::local::{self, LockFile};
use crate::shutdown::ShutdownSignal;

/// Work of a first build on one core, in minutes. Measured on two cores with `cargo xtask up` after `cargo clean`.
const FIRST_BUILD_CORE_MINUTES: usize = 13;

/// Build everything, start what is missing, and serve until Ctrl-C
///
/// Starts a private Postgres and Redis with their data in .local/, unless
/// SPIN_VARIABLE_DATABASE_URL and SPIN_VARIABLE_REDIS_URL name others. Settings
/// come from SPIN_VARIABLE_<NAME> and .env; .env.example lists them.
///
/// Examples:
///   cargo xtask up
///   cargo xtask up --listen 0.0.0.0:8080
///   SPIN_VARIABLE_LOG_LEVEL=debug cargo xtask up --runtime embedded
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Address and port to serve on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDR")]
    listen: SocketAddr,
    /// The program that runs the components [default: spin where 4.1 or newer is on the PATH, otherwise embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
}

/// Everything that runs.
struct Service {
    app: App,
    /// None where the settings name another.
    redis: Option<redis::Server>,
    /// None where the settings name another.
    postgres: Option<postgres::Server>,
    _lock: LockFile,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let mut shutdown = ShutdownSignal::new()?;
    let service = tokio::select! {
        started = start(arguments) => started?,
        () = shutdown.wait() => return Ok(()),
    };
    let url = runtime::local_url(service.app.url());
    println!("Serving {}", service.app.url());
    println!("API, with a form to try each call: {url}/docs");
    println!("Ctrl-C stops it.");
    let exited = tokio::select! {
        status = service.app.exited() => Some(status),
        () = shutdown.wait() => None,
    };
    service.stop().await;
    match exited {
        None => Ok(()),
        Some(status) => bail!("the service exited ({status}): its last lines above say why"),
    }
}

impl Service {
    /// Stops the service first, so that it logs no lost connections.
    async fn stop(self) {
        self.app.stop().await;
        if let Some(server) = &self.redis {
            server.stop().await;
        }
        if let Some(server) = &self.postgres {
            server.stop().await;
        }
    }
}

async fn start(arguments: &Args) -> Result<Service> {
    let lock = LockFile::lock()?;
    ensure_free(arguments.listen)?;
    let mut settings = Settings::load()?;
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    announce_first_build(kind);
    let progress = Progress::new();
    // Together, because cargo needs a moment even when there is nothing to build.
    let ((), _, (postgres, database_url), (redis, redis_url)) = tokio::try_join!(
        build::components(&progress),
        kind.program(&progress),
        start_database(&settings, &lock),
        start_redis(&settings, &lock),
    )?;
    settings.set("database_url", database_url);
    settings.set("redis_url", redis_url);
    settings.derive_hosts()?;
    if settings.get("jwt_secret_key").is_none() {
        settings.set("jwt_secret_key", local::jwt_secret_key()?);
    }
    let options = runtime::Options {
        manifest: testbed::workspace().join("spin.toml"),
        listen: arguments.listen,
        variables: settings.into_variables(),
        environment: Default::default(),
        state_dir: local::folder().join("runtime"),
        inherit_output: true,
    };
    Ok(Service {
        app: App::start(kind, options).await?,
        redis,
        postgres,
        _lock: lock,
    })
}

/// Reports a taken port at once, instead of after the build.
fn ensure_free(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!("cannot listen on {listen}: stop what listens there, or choose another address with --listen 127.0.0.1:3001")
    })
}

fn announce_first_build(kind: Kind) {
    let target = testbed::workspace().join("target");
    let is_built = build::packages()
        .is_ok_and(|names| names.iter().all(|name| build::component(name).exists()))
        && (kind == Kind::Spin || target.join("debug/host").exists());
    if !is_built {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let minutes = FIRST_BUILD_CORE_MINUTES.div_ceil(cores).max(2);
        eprintln!(
            "The first build takes about {minutes} minutes on {cores} cores, most of it for a WebAssembly runtime; later starts take seconds."
        );
    }
}

/// Returns the migrated database: the one in the settings, or the private one, started.
async fn start_database(
    settings: &Settings,
    lock: &LockFile,
) -> Result<(Option<postgres::Server>, String)> {
    let (server, url) = match settings.get("database_url") {
        Some(url) => (None, url.to_owned()),
        None => {
            let (server, url) = local::start_postgres(lock).await?;
            (Some(server), url)
        }
    };
    migrate::up(&url).await.with_context(|| match &server {
        Some(_) => "the local database is not usable",
        None => "the database in SPIN_VARIABLE_DATABASE_URL is not usable",
    })?;
    Ok((server, url))
}

/// Returns the Redis in the settings, or the private one, started.
async fn start_redis(
    settings: &Settings,
    lock: &LockFile,
) -> Result<(Option<redis::Server>, String)> {
    match settings.get("redis_url") {
        Some(url) => Ok((None, url.to_owned())),
        None => {
            let server = local::start_redis(lock).await?;
            let url = server.url(0);
            Ok((Some(server), url))
        }
    }
}
