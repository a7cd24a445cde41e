//! A private Postgres: made from the installed programs, on 127.0.0.1 and a free port.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use sqlx::{Connection, PgConnection};

use crate::process::{self, Running, lock};
use crate::progress::Progress;
use crate::secret_file;

mod account;
mod programs;

use account::Account;
use programs::Programs;

/// The database user.
const USER: &str = "diary";
/// Recovery after a hard end may replay a good deal of its log.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A fast shutdown writes a checkpoint.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running server, stopped when dropped. Its data stay in the folder.
pub struct Server {
    dir: PathBuf,
    programs: Programs,
    account: Account,
    password: String,
    address: SocketAddr,
    throw_away: bool,
    running: Mutex<Option<Running>>,
}

impl Server {
    /// Starts a server with its data, its password and its log in `dir`; makes the data where there are none.
    ///
    /// As root, `dir` is given to the user that Postgres then runs as.
    ///
    /// # Errors
    /// When Postgres is missing and cannot be installed, another server uses `dir`, or it does not come up.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, false).await
    }

    /// As [`start`](Self::start), for data that need not survive a crash of the machine. It does survive one of the server.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_throw_away(dir: &Path) -> Result<Self> {
        Self::start_with(dir, true).await
    }

    async fn start_with(dir: &Path, throw_away: bool) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let version = data_version(&dir);
        let find = move || Programs::find_or_install(version.as_deref());
        let programs = tokio::task::spawn_blocking(find).await??;
        let account = Account::for_folder(&dir)?;
        let password = secret_file::read_or_make(&dir.join("password"))?;
        account.give(&dir, 0o700)?;
        account.give(&dir.join("password"), 0o600)?;
        wait_for_predecessor(&dir).await?;
        let mut server = Self {
            address: free_address()?,
            programs,
            account,
            password,
            throw_away,
            running: Mutex::new(None),
            dir,
        };
        if data_version(&server.dir).is_none() {
            server.make_data()?;
        }
        // Someone may take the port between our look and the server's.
        for _ in 0..3 {
            match server.launch().await {
                Err(_) if server.log_says_port_is_taken() => server.address = free_address()?,
                launched => return launched.map(|()| server),
            }
        }
        server.launch().await.map(|()| server)
    }

    /// The connection URL of a database, whether it exists or not.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@{}/{database}",
            self.password, self.address
        )
    }

    /// Where it listens. Stays the same through [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a database where it is missing, and gives its URL.
    ///
    /// # Errors
    /// When the server is down or the name is not one.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url("postgres"), name).await?;
        Ok(self.url(name))
    }

    /// Stops it in order: connections end, data are written.
    ///
    /// # Errors
    /// None today; a server that will not stop is killed.
    pub async fn stop(&self) -> Result<()> {
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.stop(Signal::SIGINT, STOP_WITHIN).await;
        }
        Ok(())
    }

    /// Kills it and every process that serves a connection, as a power cut would.
    pub fn kill(&self) {
        let Some(mut running) = lock(&self.running).take() else {
            return;
        };
        // Each of its children leads a group of its own, so killing the group would miss them.
        let children = process::children(running.pid());
        running.kill();
        for child in children {
            let _ = kill(process::process_id(child), Signal::SIGKILL);
        }
    }

    /// Starts it again, after stopping it where it runs: same port, same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        wait_for_predecessor(&self.dir).await?;
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

    /// Makes the data folder under another name first, so that a run cut short leaves nothing that looks finished.
    fn make_data(&self) -> Result<()> {
        let step = Progress::new().step("Making the local database");
        let unfinished = self.dir.join("data.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let mut command = self.account.command(&self.programs.initdb, &self.dir);
        command
            .arg("--pgdata=data.new")
            .args([
                "--username",
                USER,
                "--pwfile=password",
                "--auth=scram-sha-256",
            ])
            .args(["--encoding=UTF8", "--no-locale"]);
        if self.throw_away {
            command.arg("--no-sync");
        }
        crate::apt::run(&mut command).map_err(|output| {
            anyhow::anyhow!(
                "initdb failed in {}:\n{output}\nIs the disk full?",
                self.dir.display()
            )
        })?;
        fs::rename(&unfinished, self.dir.join("data"))?;
        step.done();
        Ok(())
    }

    async fn launch(&self) -> Result<()> {
        let log = File::create(self.log_file())?;
        let mut command = self.account.command(&self.programs.postgres, &self.dir);
        let data = self.dir.join("data");
        command.arg("-D").arg(&data);
        let port = self.address.port().to_string();
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={port}"),
            "unix_socket_directories=",
            // Tests run several services at once, each with its pools.
            "max_connections=400",
            "timezone=UTC",
            "log_timezone=UTC",
            "logging_collector=off",
            "log_destination=stderr",
        ] {
            command.args(["-c", setting]);
        }
        if self.throw_away {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        command.stdout(log.try_clone()?).stderr(log);
        let mut running = Running::start(command, Signal::SIGINT)?;
        self.wait_until_ready(&mut running).await?;
        *lock(&self.running) = Some(running);
        Ok(())
    }

    async fn wait_until_ready(&self, running: &mut Running) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let error = match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => {
                    connection.close().await?;
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(status) = running.ended() {
                bail!(
                    "Postgres ended while starting ({status}). Its log:\n{}",
                    self.log_tail()
                );
            }
            if Instant::now() > deadline {
                let log = self.log_tail();
                return Err(error)
                    .with_context(|| format!("Postgres is not ready. Its log:\n{log}"));
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
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
            running.stop_blocking(Signal::SIGINT, STOP_WITHIN);
        }
    }
}

/// Makes a database where it is missing. `url` is of any database on the same server.
///
/// # Errors
/// When the server is down or the name is not one.
pub async fn create_database(url: &str, name: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url)
        .await
        .context("cannot reach Postgres")?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        let quoted = name.replace('"', "\"\"");
        let statement = format!("create database \"{quoted}\" template template0");
        let created = sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await;
        if let Err(error) = created
            && !is_duplicate(&error)
        {
            return Err(error).with_context(|| format!("cannot make the database {name}"));
        }
    }
    connection.close().await?;
    Ok(())
}

/// Whether another process made the database at the same moment.
fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P04" | "23505"))
}

/// The URL of a database of the server that runs in `dir`, if one does.
///
/// # Errors
/// When the password beside its data cannot be read.
pub fn running_url(dir: &Path, database: &str) -> Result<Option<String>> {
    let Some((_, port)) = living_server(dir) else {
        return Ok(None);
    };
    let password = fs::read_to_string(dir.join("password"))
        .with_context(|| format!("cannot read {}", dir.join("password").display()))?;
    Ok(Some(format!(
        "postgres://{USER}:{password}@127.0.0.1:{port}/{database}"
    )))
}

/// The major version that made the data in `dir`, such as `15`.
fn data_version(dir: &Path) -> Option<String> {
    let version = fs::read_to_string(dir.join("data/PG_VERSION")).ok()?;
    Some(version.trim().to_owned())
}

/// Process id and port of the server that uses `dir`.
fn living_server(dir: &Path) -> Option<(u32, u16)> {
    let (pid, port) = parse_pid_file(&fs::read_to_string(dir.join("data/postmaster.pid")).ok()?)?;
    // The id may meanwhile belong to something else, above all after a restart of the machine.
    let ours = process::is_alive(pid)
        && process::command_line(pid).is_some_and(|line| line.contains(&*dir.to_string_lossy()));
    ours.then_some((pid, port))
}

/// First line the process id, fourth the port.
fn parse_pid_file(text: &str) -> Option<(u32, u16)> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    Some((pid, port))
}

/// Lets a server that is still ending go first, and removes what one that was killed left behind:
/// Postgres itself refuses to start when the id in its file belongs to any living process.
async fn wait_for_predecessor(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + STOP_WITHIN;
    let half = Instant::now() + STOP_WITHIN / 4;
    while let Some((pid, _)) = living_server(dir) {
        if Instant::now() > deadline {
            bail!(
                "another Postgres (process {pid}) uses {}: stop it first, as with `kill -INT {pid}`",
                dir.display()
            );
        }
        if Instant::now() > half {
            let _ = kill(process::process_id(pid), Signal::SIGINT);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stale = dir.join("data/postmaster.pid");
    if stale.exists() {
        fs::remove_file(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
    }
    Ok(())
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_tells_process_and_port() {
        let text = "4711\n/somewhere/data\n1790000000\n38213\n\n127.0.0.1\n  123 4\nready\n";
        assert_eq!(parse_pid_file(text), Some((4711, 38213)));
        assert_eq!(parse_pid_file("4711\n/somewhere/data\n"), None);
        assert_eq!(parse_pid_file(""), None);
    }
}
