//! A throw-away service for what is measured: servers with data of their own, and how to start on them.

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::progress::Progress;
use crate::runtime::{Kind, Options};
use crate::settings::Settings;
use crate::{build, migrate, postgres, redis, secret_file};

/// Builds the components, and the embedded host where that runs them.
///
/// # Errors
/// When something does not build.
pub async fn build(kind: Kind, progress: &Progress) -> Result<()> {
    let progress = progress.clone();
    spawn_blocking(move || {
        build::components(&progress)?;
        match kind {
            Kind::Embedded => build::host_with(&progress).map(drop),
            Kind::Spin => Ok(()),
        }
    })
    .await?
}

/// Postgres and Redis with their data in a folder that goes away with them.
pub struct Servers {
    /// The URL of the migrated database.
    pub database: String,
    redis: redis::Server,
    postgres: postgres::Server,
    folder: TempDir,
}

impl Servers {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(name: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = folder.path();
        // Not a throw-away one: an entry that was created has to be on the disk.
        let postgres = postgres::Server::start(&path.join("postgres")).await?;
        let redis = redis::Server::start(&path.join("redis")).await?;
        let database = postgres.create_database(name).await?;
        migrate::up(&database).await?;
        Ok(Self {
            database,
            redis,
            postgres,
            folder,
        })
    }

    /// Settings that name both servers.
    ///
    /// # Errors
    /// When their URLs make no sense.
    pub fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.set("database_url", &self.database);
        settings.set("redis_url", self.redis.url(0));
        settings.derive_hosts()?;
        Ok(settings)
    }

    /// How to start the service, without limits on logins and with these settings more.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn service(&self, more: &[(&str, &str)]) -> Result<Options> {
        let key = secret_file::read_or_make(&self.folder.path().join("jwt_secret_key"))?;
        let mut settings = self.settings()?;
        for (name, value) in [
            ("jwt_secret_key", key.as_str()),
            ("register_limit", "off"),
            ("login_limit", "off"),
            ("log_level", "error"),
        ]
        .iter()
        .chain(more)
        {
            settings.set(name, *value);
        }
        self.options("spin.toml", settings)
    }

    /// How to start any manifest of the repository, on a free port and with a state of its own.
    ///
    /// # Errors
    /// When no folder can be made for that.
    pub fn options(&self, manifest: &str, settings: Settings) -> Result<Options> {
        let state_dir = tempfile::tempdir_in(self.folder.path())
            .context("cannot make a temporary folder")?
            .keep();
        Ok(Options {
            manifest: crate::workspace().join(manifest),
            listen: ([127, 0, 0, 1], 0).into(),
            variables: settings.into_variables(),
            environment: Default::default(),
            state_dir,
            inherit_output: false,
        })
    }

    /// Stops both. They are thrown away, however they end.
    pub async fn stop(self) {
        let _ = tokio::join!(self.redis.stop(), self.postgres.stop());
    }
}
