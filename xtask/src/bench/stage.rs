//! Everything that is measured, running: the service, the bare component and their servers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::accounts::{self, Accounts};
use super::model::Model;
use crate::client::Call;
use crate::progress::Progress;
use crate::runtime::{App, Kind, Options};
use crate::settings::Settings;
use crate::{migrate, postgres, redis, secret_file};

/// What runs, in the order in which it ends when dropped.
pub struct Stage {
    /// The service.
    pub app: App,
    /// The component that makes one host call for each request.
    pub probe: App,
    /// Who asks.
    pub accounts: Accounts,
    /// The URL of the database that both use.
    pub database: String,
    _model: Model,
    redis: redis::Server,
    postgres: postgres::Server,
    _folder: TempDir,
}

impl Stage {
    /// Starts all of it with data of its own. The components must have been built.
    ///
    /// # Errors
    /// When a part does not start or the data cannot be made.
    pub async fn start(kind: Kind, progress: &Progress) -> Result<Self> {
        let step = progress.step("Starting the servers, the service and the bare component");
        step.announce();
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = folder.path();
        // Not a throw-away one: an entry that was created has to be on the disk.
        let postgres = postgres::Server::start(&path.join("postgres")).await?;
        let redis = redis::Server::start(&path.join("redis")).await?;
        let database = postgres.create_database("bench").await?;
        migrate::up(&database).await?;
        let model = Model::start().await?;
        let mut settings = Settings::default();
        settings.set("database_url", &database);
        settings.set("redis_url", redis.url(0));
        settings.derive_hosts()?;
        let probe = App::start(kind, probe(settings.clone(), &model, path)).await?;
        let app = App::start(kind, service(settings, &model, path)?).await?;
        step.done();
        let step = progress.step("Making users and entries");
        step.announce();
        let accounts = accounts::make(app.url(), &database).await?;
        step.done();
        Ok(Self {
            app,
            probe,
            accounts,
            database,
            _model: model,
            redis,
            postgres,
            _folder: folder,
        })
    }

    /// How long the slowest of a few different requests takes, one after the other.
    ///
    /// # Errors
    /// When one fails.
    pub async fn slowest_answer(&self) -> Result<Duration> {
        let user = &self.accounts.small;
        let mut slowest = Duration::ZERO;
        for call in [
            Call::get("/health"),
            Call::get("/ready"),
            user.list(),
            user.stats(),
        ] {
            let begun = Instant::now();
            call.send(self.app.url()).await?;
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    }

    /// Stops all of it; the services first, so that they see no server vanish.
    pub async fn stop(self) {
        tokio::join!(self.app.stop(), self.probe.stop());
        // Both are thrown away with the folder, however they end.
        let _ = tokio::join!(self.redis.stop(), self.postgres.stop());
    }
}

fn service(mut settings: Settings, model: &Model, folder: &Path) -> Result<Options> {
    let key = secret_file::read_or_make(&folder.join("jwt_secret_key"))?;
    let model = model.url();
    for (name, value) in [
        ("jwt_secret_key", key.as_str()),
        ("github_models_host", &model),
        ("github_token", "bench"),
        ("register_limit", "off"),
        ("login_limit", "off"),
        ("log_level", "error"),
    ] {
        settings.set(name, value);
    }
    Ok(options("spin.toml", settings, folder.join("service")))
}

fn probe(mut settings: Settings, model: &Model, folder: &Path) -> Options {
    // Not asked for here, but its manifest wants an address.
    settings.set("http_host", model.url());
    options("host/probe/spin.toml", settings, folder.join("probe"))
}

fn options(manifest: &str, settings: Settings, state_dir: std::path::PathBuf) -> Options {
    Options {
        manifest: crate::workspace().join(manifest),
        listen: ([127, 0, 0, 1], 0).into(),
        variables: settings.into_variables(),
        environment: Default::default(),
        state_dir,
        inherit_output: false,
    }
}
