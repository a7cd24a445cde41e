//! A private Redis (or Valkey), run from the installed program.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::{apt, process, secret_file, server};

/// Where packages of Redis and Valkey put their programs, beside the PATH.
const FOLDERS: &str = "/usr/bin:/usr/local/bin:/opt/homebrew/bin:/opt/homebrew/opt/redis/bin:\
    /opt/homebrew/opt/valkey/bin:/usr/local/opt/redis/bin:/usr/local/opt/valkey/bin";
const OLDEST_VERSION: u32 = 6;

/// A running server, stopped when dropped. Its data stay in the folder.
pub struct Server(server::Server<Redis>);

impl Server {
    /// Starts a server with its data, password and log in `dir`. Confirmed writes survive a crash of the server.
    ///
    /// # Errors
    /// When Redis is missing and cannot be installed, another server uses `dir`, or it does not become ready.
    pub async fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let redis = Redis {
            program: tokio::task::spawn_blocking(find_or_install).await??,
            password: secret_file::read_or_create(&dir.join("password"))?,
        };
        server::Server::start(redis, dir).await.map(Self)
    }

    /// Returns the connection URL of a numbered database.
    #[must_use]
    pub fn url(&self, database: u8) -> String {
        format!("{}/{database}", self.0.program.url(self.address()))
    }

    /// Returns where it listens; [`restart`](Self::restart) keeps the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Stops it in order; a server that does not stop in time is killed.
    pub async fn stop(&self) {
        self.0.stop().await;
    }

    /// Kills it, as a power cut would.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Starts it again, after stopping it if it runs: same port, same data.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&self) -> Result<()> {
        self.0.restart().await
    }
}

struct Redis {
    program: PathBuf,
    password: String,
}

impl Redis {
    fn url(&self, address: SocketAddr) -> String {
        format!("redis://:{}@{address}", self.password)
    }
}

impl server::Program for Redis {
    const NAME: &str = "Redis";
    const STOP_SIGNAL: Signal = Signal::SIGTERM;
    const STOP_TIMEOUT: Duration = Duration::from_secs(10);
    const READY_TIMEOUT: Duration = Duration::from_secs(30);

    /// Passes the settings in a file: every user of the machine can see arguments, and one is the password.
    fn command(&self, dir: &Path, address: SocketAddr) -> Result<Command> {
        let path = dir.join("settings.conf");
        let _ = fs::remove_file(&path);
        let create = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        write!(
            create.with_context(|| format!("cannot create {}", path.display()))?,
            "bind 127.0.0.1\nport {}\nrequirepass {}\ndatabases 256\npidfile redis.pid\n\
             appendonly yes\nappendfsync everysec\nsave \"\"\ndaemonize no\n",
            address.port(),
            self.password
        )?;
        let mut command = Command::new(&self.program);
        command
            .arg(&path)
            .current_dir(dir)
            .env_clear()
            .env("LC_ALL", "C");
        Ok(command)
    }

    async fn check_ready(&self, address: SocketAddr) -> Result<()> {
        let client = ::redis::Client::open(self.url(address))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        // Fails while the data are being loaded.
        Ok(::redis::cmd("PING").exec_async(&mut connection).await?)
    }

    /// Redis replaces its command line by `name 127.0.0.1:port`, so the port in the settings
    /// tells whether the process is the one that was started here.
    fn running_pid(&self, dir: &Path) -> Option<u32> {
        let pid = fs::read_to_string(dir.join("redis.pid")).ok()?;
        let pid = pid.trim().parse().ok()?;
        let settings = fs::read_to_string(dir.join("settings.conf")).ok()?;
        let port = settings
            .lines()
            .find_map(|line| line.strip_prefix("port "))?;
        let line = process::command_line(pid)?;
        (line.contains("-server") && line.contains(&format!(":{port}"))).then_some(pid)
    }
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(program) = find() {
        return Ok(program);
    }
    apt::install(&["redis-server"], "Redis 6 or newer").context(
        "the service needs Redis or Valkey; set SPIN_VARIABLE_REDIS_URL to use an existing one",
    )?;
    find().context(
        "redis-server is installed, but not found in the usual places: put its folder on the PATH",
    )
}

fn find() -> Option<PathBuf> {
    let folders = format!("{}:{FOLDERS}", std::env::var("PATH").unwrap_or_default());
    ["redis-server", "valkey-server"]
        .into_iter()
        .flat_map(|name| which::which_in_global(name, Some(&folders)))
        .flatten()
        .find(|file| version(file).is_some_and(|major| major >= OLDEST_VERSION))
}

fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stdout))
}

/// Parses the major version in the output of `redis-server --version`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("v=")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_versions_of_redis_and_valkey() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=d81b";
        assert_eq!(major_version(redis), Some(7));
        assert_eq!(
            major_version("Server v=8.1.0 sha=00000000:0 malloc=libc"),
            Some(8)
        );
        assert_eq!(major_version("another program"), None);
    }
}
