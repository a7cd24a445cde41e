//! A temporary environment for measurements: Postgres and Redis with data of their own, and options to start services on them.

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::runtime::Options;
use crate::settings::Settings;
use crate::{migrate, postgres, redis, secret_file};

/// Running servers, whose data are deleted when they are dropped.
pub struct Environment {
    /// The URL of the migrated database.
    pub database_url: String,
    redis: redis::Server,
    postgres: postgres::Server,
    folder: TempDir,
}

impl Environment {
    /// Starts both servers and migrates a database.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let (postgres_dir, redis_dir) =
            (folder.path().join("postgres"), folder.path().join("redis"));
        // Not `start_throw_away`: a measured write has to be on the disk.
        let postgres = postgres::Server::start(&postgres_dir);
        let (postgres, redis) = tokio::try_join!(postgres, redis::Server::start(&redis_dir))?;
        let database_url = postgres.create_database("diary").await?;
        migrate::up(&database_url).await?;
        Ok(Self {
            database_url,
            redis,
            postgres,
            folder,
        })
    }

    /// Returns options for the service with these settings, without limits on logins, with all cores for
    /// hashing, and with limits on writes and calls of the model that are counted and not reached.
    ///
    /// # Errors
    /// When no secret or folder can be created.
    pub fn service(&self, settings: &[(&str, &str)]) -> Result<Options> {
        let secret = secret_file::read_or_create(&self.folder.path().join("jwt_secret_key"))?;
        let cores = std::thread::available_parallelism()?;
        let hash_slots = (2 * cores.get()).to_string();
        let common = [
            ("jwt_secret_key", secret.as_str()),
            ("password_hash_slots", &hash_slots),
            ("register_limit", "off"),
            ("login_limit", "off"),
            ("write_limit", "100000000/1m"),
            ("model_limit", "100000000/1d"),
            ("log_level", "error"),
        ];
        self.options("spin.toml", &[&common, settings].concat())
    }

    /// Returns options for any manifest of the repository, on a free port and with a state folder of its own.
    ///
    /// # Errors
    /// When no folder can be created.
    pub fn options(&self, manifest: &str, settings: &[(&str, &str)]) -> Result<Options> {
        let mut values = Settings::default();
        values.set("database_url", &self.database_url);
        values.set("redis_url", self.redis.url(0));
        values.derive_hosts()?;
        for (name, value) in settings {
            values.set(name, *value);
        }
        let state_dir =
            tempfile::tempdir_in(self.folder.path()).context("cannot create a temporary folder")?;
        Ok(Options {
            manifest: crate::workspace().join(manifest),
            listen: ([127, 0, 0, 1], 0).into(),
            variables: values.into_variables(),
            environment: Default::default(),
            state_dir: state_dir.keep(),
            inherit_output: false,
        })
    }

    /// Returns the process id of Postgres, if it runs.
    #[must_use]
    pub fn postgres_pid(&self) -> Option<u32> {
        self.postgres.pid()
    }

    /// Stops both servers.
    pub async fn stop(self) {
        tokio::join!(self.redis.stop(), self.postgres.stop());
    }
}
