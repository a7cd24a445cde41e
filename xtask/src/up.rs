//! `cargo xtask up`: builds, starts, migrates and serves.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use tokio::task::spawn_blocking;

use crate::local::{self, Claim};
use crate::process::Ending;
use crate::progress::Progress;
use crate::runtime::{self, App, Kind};
use crate::settings::Settings;
use crate::{build, migrate, postgres, redis};

/// Build, start and migrate what is needed, and serve until Ctrl-C
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
    /// What runs the components [default: spin where 4.1 or newer is on the PATH, else embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
}

/// What runs, in the order in which it is stopped.
struct Service {
    app: App,
    redis: Option<redis::Server>,
    postgres: Option<postgres::Server>,
    _claim: Claim,
}

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// When a step fails or the service ends by itself.
pub async fn run(arguments: &Args) -> Result<()> {
    let mut ending = Ending::new()?;
    let service = tokio::select! {
        started = start(arguments) => started?,
        () = ending.wait() => return Ok(()),
    };
    let address: SocketAddr = service
        .app
        .url()
        .trim_start_matches("http://")
        .parse()
        .unwrap_or(arguments.listen);
    println!("Serving {}", service.app.url());
    println!("curl http://{}/ready", runtime::reachable(address));
    let ended = tokio::select! {
        status = service.app.ended() => Some(status),
        () = ending.wait() => None,
    };
    service.stop().await;
    match ended {
        None => Ok(()),
        Some(status) => {
            bail!("the service ended by itself ({status}): its last lines above say why")
        }
    }
}

impl Service {
    /// The service goes first, so that it sees no server vanish.
    async fn stop(self) {
        self.app.stop().await;
        let redis = async {
            if let Some(server) = &self.redis {
                let _ = server.stop().await;
            }
        };
        let postgres = async {
            if let Some(server) = &self.postgres {
                let _ = server.stop().await;
            }
        };
        tokio::join!(redis, postgres);
    }
}

async fn start(arguments: &Args) -> Result<Service> {
    let claim = Claim::take()?;
    ensure_free(arguments.listen)?;
    let mut settings = Settings::load()?;
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let progress = Progress::new();
    // Cargo needs a moment even when there is nothing to do; the servers start meanwhile.
    let components = spawn_blocking({
        let progress = progress.clone();
        move || build::components(&progress)
    });
    let host = spawn_blocking(move || match kind {
        Kind::Embedded => build::host_with(&progress).map(|_| ()),
        Kind::Spin => Ok(()),
    });
    let (postgres, redis) = tokio::join!(database(&settings, &claim), cache(&settings, &claim));
    let (postgres, redis) = (postgres?, redis?);
    settings.set("database_url", postgres.1);
    settings.set("redis_url", redis.1);
    settings.derive_hosts()?;
    if settings.get("jwt_secret_key").is_none() {
        settings.set("jwt_secret_key", local::jwt_secret_key()?);
    }
    components.await??;
    host.await??;
    let options = runtime::Options {
        manifest: crate::workspace().join("spin.toml"),
        listen: arguments.listen,
        variables: settings.into_variables(),
        environment: Default::default(),
        state_dir: local::folder().join("runtime"),
        inherit_output: true,
    };
    Ok(Service {
        app: App::start(kind, options).await?,
        redis: redis.0,
        postgres: postgres.0,
        _claim: claim,
    })
}

/// A clear word at once, rather than after the build.
fn ensure_free(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!("cannot listen on {listen}: stop what listens there, or choose another with --listen 127.0.0.1:3001")
    })
}

/// The migrated database: the one that is set, or our own, started.
async fn database(
    settings: &Settings,
    claim: &Claim,
) -> Result<(Option<postgres::Server>, String)> {
    let (server, url) = match settings.get("database_url") {
        Some(url) => (None, url.to_owned()),
        None => {
            let (server, url) = local::start_postgres(claim).await?;
            (Some(server), url)
        }
    };
    migrate::up(&url).await.with_context(|| match &server {
        Some(_) => "the local database is not usable",
        None => "the database of SPIN_VARIABLE_DATABASE_URL is not usable",
    })?;
    Ok((server, url))
}

/// The Redis that is set, or our own, started.
async fn cache(settings: &Settings, claim: &Claim) -> Result<(Option<redis::Server>, String)> {
    match settings.get("redis_url") {
        Some(url) => Ok((None, url.to_owned())),
        None => {
            let server = local::start_redis(claim).await?;
            let url = server.url(0);
            Ok((Some(server), url))
        }
    }
}
