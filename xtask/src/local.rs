//! The folder `.local`: private servers and their data, for runs on this machine.

use std::fs::{self, File, TryLockError};
use std::io::{Seek, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use testbed::settings::Settings;
use testbed::{postgres, redis, secret_file};

/// Name of the private database.
const DATABASE: &str = "diary";

/// Returns the folder, which git ignores. Removing it removes all local data.
pub fn folder() -> PathBuf {
    testbed::workspace().join(".local")
}

/// The lock on the folder. The system releases it when this process ends, however it ends.
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Locks the folder; returns none when another process holds the lock.
    fn try_lock() -> Result<Option<Self>> {
        let path = folder().join("lock");
        let open = || -> std::io::Result<File> {
            fs::create_dir_all(folder())?;
            File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        let mut file = open().with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }

    /// Locks the folder.
    ///
    /// # Errors
    /// When another `cargo xtask` holds the lock.
    pub fn lock() -> Result<Self> {
        match Self::try_lock()? {
            Some(lock) => Ok(lock),
            None => bail!(
                "another `cargo xtask` (process {}) already uses the data in {}: use that one, or stop it first (Ctrl-C where it runs)",
                fs::read_to_string(folder().join("lock")).unwrap_or_default(),
                folder().display()
            ),
        }
    }
}

/// Returns the key that signs the tokens of local runs; the first run creates it.
pub fn jwt_secret_key() -> Result<String> {
    secret_file::read_or_create(&folder().join("jwt_secret_key"))
}

/// Starts the private Postgres; returns it and the URL of its database.
pub async fn start_postgres(_lock: &LockFile) -> Result<(postgres::Server, String)> {
    let server = postgres::Server::start(&folder().join("postgres")).await?;
    let url = server.create_database(DATABASE).await?;
    Ok((server, url))
}

/// Starts the private Redis.
pub async fn start_redis(_lock: &LockFile) -> Result<redis::Server> {
    redis::Server::start(&folder().join("redis")).await
}

/// The database that a command such as `migrate` works on.
pub struct Database {
    pub url: String,
    /// Set where the server was started for this command.
    pub started: Option<(postgres::Server, LockFile)>,
}

impl Database {
    /// Returns the database in the settings. Without one, returns the private database: that of a running
    /// `cargo xtask up`, or one that is started for this command.
    pub async fn open() -> Result<Self> {
        if let Some(url) = Settings::load()?.get("database_url") {
            let url = url.to_owned();
            return Ok(Self { url, started: None });
        }
        if let Some(lock) = LockFile::try_lock()? {
            let (server, url) = start_postgres(&lock).await?;
            let started = Some((server, lock));
            return Ok(Self { url, started });
        }
        match postgres::running_url(&folder().join("postgres"), DATABASE)? {
            Some(url) => Ok(Self { url, started: None }),
            None => bail!(
                "another `cargo xtask` is starting or stopping the local database: try again in a moment"
            ),
        }
    }

    /// Stops the server that was started for this command.
    pub async fn close(self) {
        if let Some((server, _lock)) = self.started {
            server.stop().await;
        }
    }
}
