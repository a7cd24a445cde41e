//! PgBouncer in front of a private Postgres, with the configuration of deploy/.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::account::Account;
use super::{USER, url};
use crate::{apt, database, server};

/// The oldest version that keeps prepared statements in transaction mode.
const OLDEST: (u32, u32) = (1, 21);

/// Returns the program; installs it if it is missing.
///
/// # Errors
/// When there is none, or it is too old.
pub async fn find_or_install() -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| {
        let find = || which::which("pgbouncer");
        if find().is_err() {
            apt::install(&["pgbouncer"], "PgBouncer")?;
        }
        let program = find().context("pgbouncer is not on the PATH")?;
        let output = Command::new(&program).arg("--version").output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = version(&printed).with_context(|| format!("no version in {printed:?}"))?;
        ensure!(
            version >= OLDEST,
            "PgBouncer {}.{} cannot keep prepared statements in transaction mode: install 1.21 or newer, as Debian 13 has it",
            version.0,
            version.1
        );
        Ok(program)
    })
    .await?
}

/// Parses the first line of `pgbouncer --version`, such as `PgBouncer 1.24.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("PgBouncer ")?.split('.');
    Some((
        numbers.next()?.parse().ok()?,
        numbers.next()?.trim().parse().ok()?,
    ))
}

/// A running PgBouncer, stopped when dropped.
pub struct PgBouncer(server::Server<Program>);

impl PgBouncer {
    /// Starts `program` in front of a server, in the folder `dir`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(program: &Path, dir: &Path, postgres: &super::Server) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let account = Account::for_folder(&dir)?;
        account.give(&dir, 0o700)?;
        let program = Program {
            program: program.to_owned(),
            account,
            password: postgres.0.program.password.clone(),
            postgres: postgres.address(),
        };
        let users = dir.join("users");
        fs::write(&users, format!("\"{USER}\" \"{}\"\n", program.password))?;
        program.account.give(&users, 0o600)?;
        server::Server::start(program, dir).await.map(Self)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Kills it.
    pub fn kill(&self) {
        self.0.kill();
    }
}

struct Program {
    program: PathBuf,
    account: Account,
    password: String,
    postgres: SocketAddr,
}

impl server::Program for Program {
    const NAME: &str = "PgBouncer";
    /// Ends at once. After SIGTERM it waits until its clients have disconnected.
    const STOP_SIGNAL: Signal = Signal::SIGQUIT;
    const STOP_TIMEOUT: Duration = Duration::from_secs(5);
    const READY_TIMEOUT: Duration = Duration::from_secs(10);

    fn command(&self, dir: &Path, address: SocketAddr) -> Result<Command> {
        let path = crate::workspace().join("deploy/postgres/pgbouncer.ini");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let users = dir.join("users");
        let text = text
            .replace("port=5432", &format!("port={}", self.postgres.port()))
            .replace("6432", &address.port().to_string())
            .replace("/etc/pgbouncer/userlist.txt", &users.to_string_lossy());
        let configuration = dir.join("pgbouncer.ini");
        fs::write(&configuration, text + "unix_socket_dir =\n")?;
        self.account.give(&configuration, 0o600)?;
        let mut command = self.account.command(&self.program, dir);
        command.arg(configuration);
        Ok(command)
    }

    async fn check_ready(&self, address: SocketAddr) -> Result<()> {
        let url = url(&self.password, address, "postgres");
        database::connect(&url).await.map(drop)
    }

    fn running_pid(&self, _: &Path) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_versions() {
        let printed = "PgBouncer 1.24.1\nlibevent 2.1.12-stable\n";
        assert_eq!(version(printed), Some((1, 24)));
        assert!(version("PgBouncer 1.18.0\n").is_some_and(|version| version < OLDEST));
        assert_eq!(version("another program"), None);
    }
}
