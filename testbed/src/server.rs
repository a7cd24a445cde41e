//! A private server, Postgres or Redis: a process with its data in a folder, on a free port of 127.0.0.1.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};

use crate::lock;
use crate::process::{self, ChildProcess};

/// How often a server is asked whether it is ready, or gone.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long another process may hold the port of a server that restarts: a connection from
/// this machine can be given the same number for a moment.
const PORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What differs between Postgres and Redis.
pub(crate) trait Program {
    const NAME: &str;
    /// The signal that asks for an orderly end.
    const STOP_SIGNAL: Signal;
    /// How long an orderly end may take before the process is killed.
    const STOP_TIMEOUT: Duration;
    /// How long a start may take, the recovery after a crash included.
    const READY_TIMEOUT: Duration;

    /// Returns the command that serves the data in `dir`.
    fn command(&self, dir: &Path, address: SocketAddr) -> Result<Command>;

    /// Connects; an error says why the server is not ready.
    async fn check_ready(&self, address: SocketAddr) -> Result<()>;

    /// Returns the id of a process that serves the data in `dir`.
    fn running_pid(&self, dir: &Path) -> Option<u32>;
}

/// A server, stopped when dropped. Its data stay in the folder.
pub(crate) struct Server<P: Program> {
    pub(crate) program: P,
    dir: PathBuf,
    address: SocketAddr,
    child: Mutex<Option<ChildProcess>>,
}

impl<P: Program> Server<P> {
    /// Starts a server on the data in `dir`.
    ///
    /// # Errors
    /// When another server keeps using `dir`, or this one does not become ready.
    pub(crate) async fn start(program: P, dir: PathBuf) -> Result<Self> {
        let mut server = Self {
            program,
            dir,
            address: free_address()?,
            child: Mutex::new(None),
        };
        server.wait_for_predecessor().await?;
        // Another process may take the port before the server does.
        for _ in 0..3 {
            match server.launch().await {
                Err(_) if server.is_port_taken() => server.address = free_address()?,
                launched => return launched.map(|()| server),
            }
        }
        server.launch().await.map(|()| server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process id, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(ChildProcess::pid)
    }

    /// Stops it in order; a server that does not stop in time is killed.
    pub(crate) async fn stop(&self) {
        let child = lock(&self.child).take();
        if let Some(child) = child {
            child.stop(P::STOP_SIGNAL, P::STOP_TIMEOUT).await;
        }
    }

    /// Kills it with all its processes, as a power cut would.
    pub(crate) fn kill(&self) {
        // Dropping kills.
        lock(&self.child).take();
    }

    /// Starts it again, after stopping it if it runs: same port, same data.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.stop().await;
        self.wait_for_predecessor().await?;
        let deadline = Instant::now() + PORT_TIMEOUT;
        loop {
            match self.launch().await {
                Err(_) if self.is_port_taken() && Instant::now() < deadline => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                launched => return launched,
            }
        }
    }

    async fn launch(&self) -> Result<()> {
        let mut command = self.program.command(&self.dir, self.address)?;
        let log = File::create(self.dir.join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let mut child = ChildProcess::start(command, P::STOP_SIGNAL)?;
        let deadline = Instant::now() + P::READY_TIMEOUT;
        while let Err(error) = self.program.check_ready(self.address).await {
            if let Some(status) = child.status() {
                let log = self.log_tail();
                bail!(
                    "{} exited at its start ({status}). Its log:\n{log}",
                    P::NAME
                );
            }
            if Instant::now() > deadline {
                let log = self.log_tail();
                return Err(error)
                    .with_context(|| format!("{} is not ready. Its log:\n{log}", P::NAME));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        *lock(&self.child) = Some(child);
        Ok(())
    }

    /// Waits for a server that is still stopping, because two of them would write into the same
    /// files; one that an earlier run has left behind is asked to stop.
    async fn wait_for_predecessor(&self) -> Result<()> {
        let begun = Instant::now();
        while let Some(pid) = self.program.running_pid(&self.dir) {
            if begun.elapsed() > P::STOP_TIMEOUT {
                bail!(
                    "another {} (process {pid}) uses {}: stop it with `kill -INT {pid}`",
                    P::NAME,
                    self.dir.display()
                );
            }
            if begun.elapsed() > P::STOP_TIMEOUT / 4 {
                let _ = kill(process::process_id(pid), P::STOP_SIGNAL);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log"));
        process::tail(&log.unwrap_or_default(), 15)
    }

    fn is_port_taken(&self) -> bool {
        self.log_tail().contains("Address already in use")
    }
}

impl<P: Program> Drop for Server<P> {
    fn drop(&mut self) {
        if let Some(child) = lock(&self.child).take() {
            child.stop_blocking(P::STOP_SIGNAL, P::STOP_TIMEOUT);
        }
    }
}

/// Returns a port of 127.0.0.1 that nothing listens on.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}
