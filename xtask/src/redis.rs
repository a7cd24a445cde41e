//! A private Redis (or Valkey): made from the installed program, on 127.0.0.1 and a free port.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::apt;
use crate::postgres::free_address;
use crate::process::{self, Running, lock};
use crate::secret_file;

/// Loading a large file of commands takes time.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A running server, stopped when dropped. Its data stay in the folder.
pub struct Server {
    dir: PathBuf,
    program: PathBuf,
    password: String,
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

impl Server {
    /// Starts a server with its data, its password and its log in `dir`. What it confirmed survives its end, a hard one included.
    ///
    /// # Errors
    /// When neither Redis nor Valkey is there or can be installed, another server uses `dir`, or it does not come up.
    pub async fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let mut server = Self {
            program: tokio::task::spawn_blocking(find_or_install).await??,
            password: secret_file::read_or_make(&dir.join("password"))?,
            address: free_address()?,
            running: Mutex::new(None),
            dir,
        };
        server.wait_for_predecessor().await?;
        // Someone may take the port between our look and the server's.
        for _ in 0..3 {
            match server.launch().await {
                Err(_) if server.log_says_port_is_taken() => server.address = free_address()?,
                launched => return launched.map(|()| server),
            }
        }
        server.launch().await.map(|()| server)
    }

    /// The connection URL of a numbered database.
    #[must_use]
    pub fn url(&self, database: u8) -> String {
        format!("redis://:{}@{}/{database}", self.password, self.address)
    }

    /// Where it listens. Stays the same through [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// None today; a server that will not stop is killed.
    pub async fn stop(&self) -> Result<()> {
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.stop(Signal::SIGTERM, STOP_WITHIN).await;
        }
        Ok(())
    }

    /// Kills it, as a power cut would.
    pub fn kill(&self) {
        if let Some(mut running) = lock(&self.running).take() {
            running.kill();
        }
    }

    /// Starts it again, after stopping it where it runs: same port, same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match self.launch().await {
                // A connection of somebody else may have been given our port for a moment.
                Err(_) if self.log_says_port_is_taken() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                launched => return launched,
            }
        }
    }

    async fn launch(&self) -> Result<()> {
        let settings = self.write_settings()?;
        let log = File::create(self.log_file())?;
        let mut command = Command::new(&self.program);
        command
            .arg(&settings)
            .current_dir(&self.dir)
            .env_clear()
            .env("LC_ALL", "C")
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut running = Running::start(command, Signal::SIGTERM)?;
        self.wait_until_ready(&mut running).await?;
        *lock(&self.running) = Some(running);
        Ok(())
    }

    /// In a file and not as arguments, which every user of the machine can see.
    fn write_settings(&self) -> Result<PathBuf> {
        let path = self.dir.join("settings.conf");
        let _ = fs::remove_file(&path);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        write!(
            file,
            "bind 127.0.0.1\nport {}\nrequirepass {}\ndatabases 256\npidfile redis.pid\n\
             appendonly yes\nappendfsync everysec\nsave \"\"\ndaemonize no\n",
            self.address.port(),
            self.password
        )?;
        Ok(path)
    }

    async fn wait_until_ready(&self, running: &mut Running) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.answers().await {
            if let Some(status) = running.ended() {
                bail!(
                    "Redis ended while starting ({status}). Its log:\n{}",
                    self.log_tail()
                );
            }
            if Instant::now() > deadline {
                bail!("Redis is not ready. Its log:\n{}", self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        Ok(())
    }

    /// Whether it takes the password and has loaded its data.
    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address).await else {
            return false;
        };
        let call = format!("AUTH {}\r\nPING\r\nQUIT\r\n", self.password);
        let mut answer = String::new();
        stream.write_all(call.as_bytes()).await.is_ok()
            && stream.read_to_string(&mut answer).await.is_ok()
            && answer.starts_with("+OK\r\n+PONG\r\n")
    }

    /// Lets a server that is still ending go first: two of them would write into one file.
    async fn wait_for_predecessor(&self) -> Result<()> {
        let deadline = Instant::now() + STOP_WITHIN;
        let half = Instant::now() + STOP_WITHIN / 4;
        while let Some(pid) = self.living_server() {
            if Instant::now() > deadline {
                bail!(
                    "another Redis (process {pid}) uses {}: stop it first, as with `kill {pid}`",
                    self.dir.display()
                );
            }
            if Instant::now() > half {
                let _ = kill(process::process_id(pid), Signal::SIGTERM);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The process that uses this folder. Redis writes `name 127.0.0.1:port` over its command line,
    /// so the port in the settings it was given tells whose the id is.
    fn living_server(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.dir.join("redis.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let settings = fs::read_to_string(self.dir.join("settings.conf")).ok()?;
        let port = settings
            .lines()
            .find_map(|line| line.strip_prefix("port "))?;
        let line = process::command_line(pid)?;
        (line.contains("-server") && line.contains(&format!(":{port}"))).then_some(pid)
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn log_tail(&self) -> String {
        process::tail(&self.log_file())
    }

    fn log_says_port_is_taken(&self) -> bool {
        self.log_tail().contains("Address already in use")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = lock(&self.running).take() {
            running.stop_blocking(Signal::SIGTERM, STOP_WITHIN);
        }
    }
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(program) = find() {
        return Ok(program);
    }
    apt::install(&["redis-server"], "Redis 6 or newer")
        .context("the service needs Redis or Valkey; or set SPIN_VARIABLE_REDIS_URL to one")?;
    find().context(
        "redis-server is installed, but not found in the usual places; put its folder on the PATH",
    )
}

fn find() -> Option<PathBuf> {
    let folders = [
        "/usr/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
        "/opt/homebrew/opt/redis/bin",
        "/opt/homebrew/opt/valkey/bin",
        "/usr/local/opt/redis/bin",
        "/usr/local/opt/valkey/bin",
    ];
    ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(|name| {
            let in_folders = || {
                folders
                    .map(|folder| Path::new(folder).join(name))
                    .into_iter()
            };
            apt::find_program(name)
                .into_iter()
                .chain(in_folders())
                .find(|file| {
                    apt::is_executable(file) && version(file).is_some_and(|major| major >= 6)
                })
        })
}

fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in what `redis-server --version` prints.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("v=")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_redis_and_valkey_are_read() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=d81b";
        assert_eq!(major_version(redis), Some(7));
        assert_eq!(
            major_version("Server v=8.1.0 sha=00000000:0 malloc=libc"),
            Some(8)
        );
        assert_eq!(major_version("something else"), None);
    }
}
