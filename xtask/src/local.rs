//! The folder `.local`: private servers and their data, for runs on this machine.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::settings::Settings;
use crate::{postgres, redis, secret_file};

/// The name of the private database.
const DATABASE: &str = "diary";

/// The folder, which git ignores. Removing it removes all local data.
#[must_use]
pub fn folder() -> PathBuf {
    crate::workspace().join(".local")
}

/// The right to use the folder; given back when dropped, and by the system when this process ends.
pub struct Claim {
    _file: File,
}

impl Claim {
    /// Takes the folder, unless another process has it: then gives nothing.
    fn attempt() -> Result<Option<Self>> {
        fs::create_dir_all(folder())
            .with_context(|| format!("cannot make {}", folder().display()))?;
        let path = folder().join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
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

    /// Takes the folder.
    ///
    /// # Errors
    /// When another `cargo xtask` uses it.
    pub fn take() -> Result<Self> {
        match Self::attempt()? {
            Some(claim) => Ok(claim),
            None => bail!(
                "another `cargo xtask`{} already uses the data in {}: use that one, or stop it first (Ctrl-C where it runs)",
                holder()
                    .map(|id| format!(" (process {id})"))
                    .unwrap_or_default(),
                folder().display()
            ),
        }
    }
}

fn holder() -> Option<u32> {
    let mut text = String::new();
    File::open(folder().join("lock"))
        .ok()?
        .read_to_string(&mut text)
        .ok()?;
    text.trim().parse().ok()
}

/// The key that signs the tokens of local runs, made at the first.
///
/// # Errors
/// When it can be neither read nor written.
pub fn jwt_secret_key() -> Result<String> {
    secret_file::read_or_make(&folder().join("jwt_secret_key"))
}

/// Starts the private Postgres; gives it and the URL of its database.
///
/// # Errors
/// As [`postgres::Server::start`].
pub async fn start_postgres(_claim: &Claim) -> Result<(postgres::Server, String)> {
    let server = postgres::Server::start(&folder().join("postgres")).await?;
    let url = server.create_database(DATABASE).await?;
    Ok((server, url))
}

/// Starts the private Redis.
///
/// # Errors
/// As [`redis::Server::start`].
pub async fn start_redis(_claim: &Claim) -> Result<redis::Server> {
    redis::Server::start(&folder().join("redis")).await
}

/// The database that a single command works on.
pub struct Database {
    url: String,
    started: Option<(postgres::Server, Claim)>,
}

impl Database {
    /// The one that the settings name, else the private one: of a running `cargo xtask up`, or started for this command.
    ///
    /// # Errors
    /// When the settings cannot be read or the private server does not come up.
    pub async fn open() -> Result<Self> {
        if let Some(url) = Settings::load()?.get("database_url") {
            let url = url.to_owned();
            return Ok(Self { url, started: None });
        }
        if let Some(claim) = Claim::attempt()? {
            let (server, url) = start_postgres(&claim).await?;
            let started = Some((server, claim));
            return Ok(Self { url, started });
        }
        match postgres::running_url(&folder().join("postgres"), DATABASE)? {
            Some(url) => Ok(Self { url, started: None }),
            None => bail!(
                "another `cargo xtask` is just starting or stopping the local database: try again in a moment"
            ),
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it was started for this command, so that nobody else has brought it up to date.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.is_some()
    }

    /// Stops what was started for this command.
    ///
    /// # Errors
    /// As [`postgres::Server::stop`].
    pub async fn close(self) -> Result<()> {
        match self.started {
            None => Ok(()),
            Some((server, _claim)) => server.stop().await,
        }
    }
}
