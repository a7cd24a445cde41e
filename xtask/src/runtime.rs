//! The service as a running process, on the embedded host or on Spin.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::apt::find_program;
use crate::build;
use crate::process::{Log, Running, lock};
use crate::settings::PREFIX;

/// The first start compiles the components, which takes its time on a slow machine.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// A thousand clients that arrive at once at an idle service start an instance
/// each; with both runtimes' own limit of a thousand, one more is answered 500.
const MAX_INSTANCES: (&str, &str) = ("SPIN_MAX_INSTANCE_COUNT", "4000");
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What runs the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The host in this repository
    Embedded,
    /// The `spin` on the PATH
    Spin,
}

impl Kind {
    /// Spin where it is on the PATH in a version that can run us, else the embedded host.
    #[must_use]
    pub fn detect() -> Self {
        let version = find_program("spin").and_then(|program| {
            let output = Command::new(program)
                .arg("--version")
                .stdin(Stdio::null())
                .output()
                .ok()?;
            spin_version(&String::from_utf8_lossy(&output.stdout))
        });
        // WASI 0.3.0 came with 4.1.
        if version.is_some_and(|version| version >= (4, 1)) {
            Self::Spin
        } else {
            Self::Embedded
        }
    }

    fn program(self) -> Result<PathBuf> {
        match self {
            Self::Embedded => build::host(),
            Self::Spin => find_program("spin")
                .context("there is no `spin` on the PATH: install Spin 4.1 or newer, or use `--runtime embedded`"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Embedded => "embedded",
            Self::Spin => "spin",
        })
    }
}

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "spin" => Ok(Self::Spin),
            _ => bail!("a runtime is `embedded` or `spin`, not {text:?}"),
        }
    }
}

/// Major and minor version in what `spin --version` prints. (Debian has another `spin`, a model checker at version 6.)
fn spin_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("spin ")?.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    // A third part, so that nothing else is taken for a version.
    parts
        .next()?
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then_some((major, minor))
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `spin.toml`. The limits are those of the repository's `runtime-config.toml`.
    pub manifest: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Values of variables by lower-case names. Nothing else is passed on, neither from the environment nor from `.env`.
    pub variables: BTreeMap<String, String>,
    /// Environment variables of the runtime itself, such as where it sends its traces.
    pub environment: BTreeMap<String, String>,
    /// For logs and the like; made where it is missing.
    pub state_dir: PathBuf,
    /// Whether to show what is printed, from when the service is ready.
    pub inherit_output: bool,
}

/// The running service, ended when dropped.
pub struct App {
    url: String,
    pid: u32,
    log: Log,
    running: Mutex<Option<Running>>,
}

impl App {
    /// Starts the service and waits until it answers. The components must have been built.
    ///
    /// # Errors
    /// When it ends early or is not ready in time, with the end of what it printed.
    pub async fn start(kind: Kind, options: Options) -> Result<Self> {
        let program = tokio::task::spawn_blocking(move || kind.program()).await??;
        let command = command(&program, &options)?;
        let mut running = Running::start(command, Signal::SIGTERM)?;
        let (log, shown) = (Log::default(), Arc::new(AtomicBool::new(false)));
        follow(&mut running, &log, &shown);
        let url = wait_until_ready(&mut running, &log, options.listen)
            .await
            .with_context(|| format!("the service did not start on the {kind} runtime"))?;
        shown.store(options.inherit_output, Ordering::Relaxed);
        Ok(Self {
            url,
            pid: running.pid(),
            log,
            running: Mutex::new(Some(running)),
        })
    }

    /// Where it is reached, such as `http://127.0.0.1:3000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that the host and the components have printed so far (of very much, the last 8 MiB).
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The process id of the runtime.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the runtime ends by itself, which it should not.
    pub async fn ended(&self) -> std::process::ExitStatus {
        loop {
            let ended = lock(&self.running).as_mut().and_then(Running::ended);
            if let Some(status) = ended {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(&self) {
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.stop(Signal::SIGTERM, STOP_WITHIN).await;
        }
    }
}

fn command(program: &Path, options: &Options) -> Result<Command> {
    let manifest = std::path::absolute(&options.manifest)?;
    let state_dir = std::path::absolute(&options.state_dir)?;
    std::fs::create_dir_all(&state_dir)
        .with_context(|| format!("cannot make {}", state_dir.display()))?;
    raise_open_files();
    let mut command = Command::new(program);
    command.arg("up").arg("--from").arg(&manifest);
    command.args(["--listen", &options.listen.to_string()]);
    let limits = crate::workspace().join("runtime-config.toml");
    command.arg("--runtime-config-file").arg(limits);
    command.arg("--state-dir").arg(&state_dir);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(PREFIX) {
            command.env_remove(name);
        }
    }
    for (name, value) in &options.variables {
        command.env(format!("{PREFIX}{}", name.to_ascii_uppercase()), value);
    }
    command.envs(&options.environment);
    let (name, value) = MAX_INSTANCES;
    if std::env::var_os(name).is_none() {
        command.env(name, value);
    }
    // Both runtimes read `.env` where they stand; the state folder has none.
    command
        .current_dir(&state_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// The usual limit of 1,024 would be reached by a thousand connections. Children inherit what is set here.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // macOS has no limit by this name that it would grant; then things stay as they are.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard);
    }
}

fn follow(running: &mut Running, log: &Log, shown: &Arc<AtomicBool>) {
    let (stdout, stderr) = running.take_output();
    if let Some(stdout) = stdout {
        let shown = Arc::clone(shown);
        log.follow(stdout, move |line| {
            if shown.load(Ordering::Relaxed) {
                println!("{line}");
            }
        });
    }
    if let Some(stderr) = stderr {
        let shown = Arc::clone(shown);
        log.follow(stderr, move |line| {
            if shown.load(Ordering::Relaxed) {
                eprintln!("{line}");
            }
        });
    }
}

async fn wait_until_ready(running: &mut Running, log: &Log, listen: SocketAddr) -> Result<String> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut url = None;
    loop {
        if url.is_none() {
            url = log.find(|line| served_url(line));
        }
        if let Some(url) = &url
            && answers(url).await
        {
            return Ok(url.clone());
        }
        if let Some(status) = running.ended() {
            // What it printed last may still be on its way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let tail = log.tail(30);
            if tail.contains("in use") || tail.contains("cannot listen") {
                bail!(
                    "cannot listen on {listen}: end what listens there, or choose another with --listen\n{tail}"
                );
            }
            bail!("it ended while starting ({status}). It printed:\n{tail}");
        }
        if Instant::now() > deadline {
            bail!(
                "it is not ready after {} s. It printed:\n{}",
                READY_WITHIN.as_secs(),
                log.tail(30)
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The URL in the line that both runtimes print when they listen.
fn served_url(line: &str) -> Option<String> {
    let (_, after) = line.split_once("Serving ")?;
    let from = after.find("http://")?;
    let url: String = after[from..]
        .chars()
        .take_while(|letter| letter.is_ascii_graphic())
        .collect();
    Some(url.trim_end_matches('/').to_owned())
}

/// Whether the service answers anything at all; what, its tests say.
async fn answers(url: &str) -> bool {
    let ask = async {
        let address: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
        let mut stream = TcpStream::connect(reachable(address)).await.ok()?;
        let call = format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(call.as_bytes()).await.ok()?;
        let mut start = [0; 9];
        stream.read_exact(&mut start).await.ok()?;
        Some(start.starts_with(b"HTTP/1.1 "))
    };
    let answered = tokio::time::timeout(Duration::from_secs(10), ask).await;
    answered.ok().flatten().unwrap_or(false)
}

/// Where a server that listens on `address` is reached from this machine.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_spin_are_read() {
        assert_eq!(
            spin_version("spin 4.1.0 (abcdef0 2026-08-21)\n"),
            Some((4, 1))
        );
        assert_eq!(
            spin_version("spin 4.1.0-pre0 (abcdef0 2026-08-21)\n"),
            Some((4, 1))
        );
        assert_eq!(
            spin_version("spin 4.0.2 (abcdef0 2026-03-21)"),
            Some((4, 0))
        );
        assert_eq!(spin_version("spin 10.2.0"), Some((10, 2)));
        assert!((4, 10) >= (4, 1) && (4, 0) < (4, 1) && (3, 9) < (4, 1));
    }

    #[test]
    fn other_programs_named_spin_are_not_taken_for_it() {
        assert_eq!(
            spin_version("Spin Version 6.5.2 -- 6 December 2019\n"),
            None
        );
        assert_eq!(spin_version("spin 6.5"), None);
        assert_eq!(spin_version(""), None);
    }

    #[test]
    fn the_url_is_found_in_what_the_runtimes_print() {
        assert_eq!(
            served_url("Serving http://127.0.0.1:3000").as_deref(),
            Some("http://127.0.0.1:3000")
        );
        assert_eq!(
            served_url("\u{1b}[1mServing \u{1b}[0mhttp://[::1]:80\u{1b}[0m").as_deref(),
            Some("http://[::1]:80")
        );
        assert_eq!(served_url("  system: http://127.0.0.1:3000/..."), None);
    }

    #[test]
    fn an_open_address_is_reached_on_loopback() {
        assert_eq!(
            reachable("0.0.0.0:80".parse().unwrap()),
            "127.0.0.1:80".parse().unwrap()
        );
        assert_eq!(
            reachable("[::]:80".parse().unwrap()),
            "[::1]:80".parse().unwrap()
        );
        assert_eq!(
            reachable("10.0.0.1:80".parse().unwrap()),
            "10.0.0.1:80".parse().unwrap()
        );
    }
}
