//! A private Postgres, run from the installed programs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;

use crate::progress::Progress;
use crate::{apt, database, process, secret_file, server};

mod account;
pub mod pgbouncer;
mod programs;

use account::Account;
use programs::Programs;

/// The database user.
const USER: &str = "diary";

/// A running server, stopped when dropped. Its data stay in the folder.
pub struct Server(server::Server<Postgres>);

impl Server {
    /// Starts a server with its data, password and log in `dir`, and creates the data if there are none.
    ///
    /// When this process runs as root, `dir` is given to the user that Postgres then runs as.
    ///
    /// # Errors
    /// When Postgres is missing and cannot be installed, another server uses `dir`, or it does not become ready.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_configured(dir, &[]).await
    }

    /// As [`start`](Self::start), with further settings such as `wal_level=logical`, which take precedence.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_configured(dir: &Path, settings: &[String]) -> Result<Self> {
        Self::start_with(dir, settings.to_vec(), false).await
    }

    /// As [`start`](Self::start), for data that need not survive a crash of the machine; they survive one of the server.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_throw_away(dir: &Path) -> Result<Self> {
        Self::start_with(dir, Vec::new(), true).await
    }

    async fn start_with(dir: &Path, settings: Vec<String>, throw_away: bool) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let version = data_version(&dir);
        let find = move || Programs::find_or_install(version.as_deref());
        let postgres = Postgres {
            programs: tokio::task::spawn_blocking(find).await??,
            account: Account::for_folder(&dir)?,
            password: secret_file::read_or_create(&dir.join("password"))?,
            settings,
            throw_away,
        };
        postgres.account.give(&dir, 0o700)?;
        postgres.account.give(&dir.join("password"), 0o600)?;
        if data_version(&dir).is_none() {
            postgres.create_data(&dir)?;
        }
        server::Server::start(postgres, dir).await.map(Self)
    }

    /// Returns the connection URL of a database, whether it exists or not.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url(&self.0.program.password, self.address(), database)
    }

    /// Returns where it listens; [`restart`](Self::restart) keeps the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Returns the process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Creates a database if it does not exist, and returns its URL.
    ///
    /// # Errors
    /// When the server is unreachable or the name is invalid.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url("postgres"), name).await?;
        Ok(self.url(name))
    }

    /// Stops it in order: connections end, data are written.
    pub async fn stop(&self) {
        self.0.stop().await;
    }

    /// Kills it with every process that serves a connection, as a power cut would.
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

struct Postgres {
    programs: Programs,
    account: Account,
    password: String,
    settings: Vec<String>,
    throw_away: bool,
}

impl Postgres {
    /// Creates the data under another name first, so that an interrupted run leaves nothing that looks complete.
    fn create_data(&self, dir: &Path) -> Result<()> {
        let step = Progress::new().step("Creating the local database");
        let incomplete = dir.join("data.new");
        if incomplete.exists() {
            fs::remove_dir_all(&incomplete)?;
        }
        let mut command = self.account.command(&self.programs.initdb, dir);
        command
            .args(["--pgdata=data.new", "--username", USER, "--pwfile=password"])
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"])
            .args(self.throw_away.then_some("--no-sync"));
        apt::run(&mut command).map_err(|output| {
            let dir = dir.display();
            anyhow!("initdb failed in {dir}:\n{output}\nIs the disk full?")
        })?;
        fs::rename(&incomplete, dir.join("data"))?;
        step.done();
        Ok(())
    }
}

impl server::Program for Postgres {
    const NAME: &str = "Postgres";
    /// A fast shutdown: it ends connections and writes a checkpoint.
    const STOP_SIGNAL: Signal = Signal::SIGINT;
    const STOP_TIMEOUT: Duration = Duration::from_secs(20);
    const READY_TIMEOUT: Duration = Duration::from_secs(60);

    fn command(&self, dir: &Path, address: SocketAddr) -> Result<Command> {
        // A killed server leaves this file behind, and Postgres refuses to start while the id in it
        // belongs to any process. The caller has checked that it is not a server of these data.
        let stale = dir.join("data/postmaster.pid");
        if stale.exists() {
            fs::remove_file(&stale)
                .with_context(|| format!("cannot remove {}", stale.display()))?;
        }
        let mut command = self.account.command(&self.programs.postgres, dir);
        command.arg("-D").arg(dir.join("data"));
        let port = format!("port={}", address.port());
        let settings = [
            "listen_addresses=127.0.0.1",
            &port,
            "unix_socket_directories=",
            // Tests run several services at once, each with its pools.
            "max_connections=400",
            "timezone=UTC",
            "log_timezone=UTC",
            "logging_collector=off",
            "log_destination=stderr",
        ];
        let unsafe_settings = ["fsync=off", "full_page_writes=off"];
        let unsafe_settings = unsafe_settings.into_iter().filter(|_| self.throw_away);
        let further = self.settings.iter().map(String::as_str);
        for setting in settings.into_iter().chain(unsafe_settings).chain(further) {
            command.args(["-c", setting]);
        }
        Ok(command)
    }

    async fn check_ready(&self, address: SocketAddr) -> Result<()> {
        let url = url(&self.password, address, "postgres");
        database::connect(&url).await.map(drop)
    }

    fn running_pid(&self, dir: &Path) -> Option<u32> {
        running_server(dir).map(|(pid, _)| pid)
    }
}

fn url(password: &str, address: SocketAddr, database: &str) -> String {
    format!("postgres://{USER}:{password}@{address}/{database}")
}

/// Creates a database if it does not exist. `url` names any database of the same server.
///
/// # Errors
/// When the server is unreachable or the name is invalid.
pub async fn create_database(url: &str, name: &str) -> Result<()> {
    let quoted = name.replace('"', "\"\"");
    let created = database::connect(url)
        .await?
        .batch_execute(&format!("create database \"{quoted}\" template template0"))
        .await;
    match created {
        // The second code is that of two processes that create it at the same moment.
        Err(error)
            if error
                .code()
                .is_some_and(|code| ["42P04", "23505"].contains(&code.code())) =>
        {
            Ok(())
        }
        created => created.with_context(|| format!("cannot create the database {name}")),
    }
}

/// Returns the URL of a database of the server that runs in `dir`, if one does.
///
/// # Errors
/// When the password beside its data cannot be read.
pub fn running_url(dir: &Path, database: &str) -> Result<Option<String>> {
    let Some((_, port)) = running_server(dir) else {
        return Ok(None);
    };
    let password = fs::read_to_string(dir.join("password"))
        .with_context(|| format!("cannot read {}", dir.join("password").display()))?;
    Ok(Some(url(
        &password,
        ([127, 0, 0, 1], port).into(),
        database,
    )))
}

/// Returns the major version that created the data in `dir`, such as `15`.
fn data_version(dir: &Path) -> Option<String> {
    let version = fs::read_to_string(dir.join("data/PG_VERSION")).ok()?;
    Some(version.trim().to_owned())
}

/// Returns process id and port of the server that uses `dir`.
fn running_server(dir: &Path) -> Option<(u32, u16)> {
    let (pid, port) = parse_pid_file(&fs::read_to_string(dir.join("data/postmaster.pid")).ok()?)?;
    // After a restart of the machine the id may belong to another process.
    let command_line = process::command_line(pid)?;
    command_line
        .contains(&*dir.to_string_lossy())
        .then_some((pid, port))
}

/// Parses `postmaster.pid`: the first line is the process id, the fourth the port.
fn parse_pid_file(text: &str) -> Option<(u32, u16)> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    Some((pid, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_process_and_port_from_the_pid_file() {
        let text = "4711\n/somewhere/data\n1790000000\n38213\n\n127.0.0.1\n  123 4\nready\n";
        assert_eq!(parse_pid_file(text), Some((4711, 38213)));
        assert_eq!(parse_pid_file("4711\n/somewhere/data\n"), None);
        assert_eq!(parse_pid_file(""), None);
    }
}
