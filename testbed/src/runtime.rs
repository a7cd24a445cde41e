//! The service as a running process, on the embedded host or on Spin.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::process::{ChildProcess, Log};
use crate::progress::Progress;
use crate::settings::PREFIX;
use crate::{cargo, lock};

/// The first start compiles the components to machine code, which is slow on a slow machine.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A thousand clients that arrive at once at an idle service start an instance each. With the
/// runtimes' own limit of a thousand, one more client gets 500.
const MAX_INSTANCES: (&str, &str) = ("SPIN_MAX_INSTANCE_COUNT", "4000");
/// Spin 4.1 is the first with WASI 0.3.0, which the components need.
const OLDEST_SPIN: (u32, u32) = (4, 1);

/// The program that runs the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The host in this repository
    Embedded,
    /// The `spin` on the PATH
    Spin,
}

impl Kind {
    /// Returns `Spin` where a suitable version is on the PATH, and `Embedded` otherwise.
    #[must_use]
    pub fn detect() -> Self {
        let output = Command::new("spin")
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        let version = output
            .ok()
            .and_then(|output| spin_version(&String::from_utf8_lossy(&output.stdout)));
        match version {
            Some(version) if version >= OLDEST_SPIN => Self::Spin,
            _ => Self::Embedded,
        }
    }

    /// Returns the path of the program; the embedded host is built if it is outdated.
    ///
    /// # Errors
    /// When the host does not compile, or `spin` is not on the PATH.
    pub async fn program(self, progress: &Progress) -> Result<PathBuf> {
        match self {
            Self::Embedded => cargo::host(progress).await,
            Self::Spin => which::which("spin").context(
                "there is no `spin` on the PATH: install Spin 4.1 or newer, or use `--runtime embedded`",
            ),
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
        <Self as ValueEnum>::from_str(text, false)
            .map_err(|_| anyhow!("a runtime is `embedded` or `spin`, not {text:?}"))
    }
}

/// Parses major and minor version in the output of `spin --version`.
///
/// Debian has another program of this name, a model checker, which prints `Spin Version 6.5.2`.
fn spin_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("spin ")?.split('.');
    let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch = parts.next()?;
    patch
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then_some(version)
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `spin.toml`. The limits are those in the repository's `runtime-config.toml`.
    pub manifest: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Values of settings by lower-case names. Those in the environment and in `.env` are not passed on.
    pub variables: BTreeMap<String, String>,
    /// Environment variables of the runtime itself, such as where it sends its traces.
    pub environment: BTreeMap<String, String>,
    /// Folder for logs and the like; created if it is missing.
    pub state_dir: PathBuf,
    /// Whether to print the service's output once it is ready.
    pub inherit_output: bool,
}

/// The running service, killed when dropped.
pub struct App {
    url: String,
    pid: u32,
    log: Log,
    child: Mutex<Option<ChildProcess>>,
}

impl App {
    /// Starts the service and waits until it answers requests. The components must have been built.
    ///
    /// # Errors
    /// When it exits or is not ready in time; the message has the last lines that it printed.
    pub async fn start(kind: Kind, options: Options) -> Result<Self> {
        let program = kind.program(&Progress::new()).await?;
        let mut child = ChildProcess::start(command(&program, &options)?, Signal::SIGTERM)?;
        let (log, shown) = (Log::default(), Arc::new(AtomicBool::new(false)));
        child.follow_output([&log, &log], {
            let shown = Arc::clone(&shown);
            move |line, is_stderr| match shown.load(Ordering::Relaxed) {
                true if is_stderr => eprintln!("{line}"),
                true => println!("{line}"),
                false => {}
            }
        });
        let url = wait_until_ready(&mut child, &log, options.listen)
            .await
            .with_context(|| format!("the service did not start on the {kind} runtime"))?;
        shown.store(options.inherit_output, Ordering::Relaxed);
        Ok(Self {
            url,
            pid: child.pid(),
            log,
            child: Mutex::new(Some(child)),
        })
    }

    /// Returns the URL that it serves, such as `http://127.0.0.1:3000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns everything that the runtime and the components have printed so far, or the last 8 MiB of it.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Returns the process id of the runtime.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the runtime exits without having been stopped.
    pub async fn exited(&self) -> ExitStatus {
        loop {
            let status = lock(&self.child).as_mut().and_then(ChildProcess::status);
            if let Some(status) = status {
                return status;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) {
        // Dropping kills.
        lock(&self.child).take();
    }

    /// Asks it to exit, and kills it if it does not exit in time.
    pub async fn stop(&self) {
        let child = lock(&self.child).take();
        if let Some(child) = child {
            child.stop(Signal::SIGTERM, STOP_TIMEOUT).await;
        }
    }
}

fn command(program: &Path, options: &Options) -> Result<Command> {
    let state_dir = std::path::absolute(&options.state_dir)?;
    std::fs::create_dir_all(&state_dir)
        .with_context(|| format!("cannot create {}", state_dir.display()))?;
    raise_open_files_limit();
    let mut command = Command::new(program);
    command
        .args(["up", "--listen", &options.listen.to_string(), "--from"])
        .arg(std::path::absolute(&options.manifest)?)
        .arg("--runtime-config-file")
        .arg(crate::workspace().join("runtime-config.toml"))
        .arg("--state-dir")
        .arg(&state_dir);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(PREFIX) {
            command.env_remove(name);
        }
    }
    for (name, value) in &options.variables {
        command.env(format!("{PREFIX}{}", name.to_ascii_uppercase()), value);
    }
    if std::env::var_os(MAX_INSTANCES.0).is_none() {
        command.env(MAX_INSTANCES.0, MAX_INSTANCES.1);
    }
    command
        .envs(&options.environment)
        // Both runtimes read `.env` in the current folder; this one has none.
        .current_dir(&state_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// A thousand connections reach the usual limit of 1,024. Child processes inherit the raised one.
fn raise_open_files_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // macOS refuses this where the hard limit is infinite; the soft one stays then.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard);
    }
}

async fn wait_until_ready(
    child: &mut ChildProcess,
    log: &Log,
    listen: SocketAddr,
) -> Result<String> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let client = crate::api::client_builder()
        .timeout(Duration::from_secs(10))
        .build()?;
    loop {
        // Any answer will do: the tests check what it says.
        if let Some(url) = log.find(|line| served_url(line))
            && client.get(local_url(&url) + "/health").send().await.is_ok()
        {
            return Ok(url);
        }
        if let Some(status) = child.status() {
            // The last lines may not have arrived yet.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let tail = log.tail(30);
            if tail.contains("in use") || tail.contains("cannot listen") {
                bail!(
                    "cannot listen on {listen}: stop what listens there, or choose another address with --listen\n{tail}"
                );
            }
            bail!("it exited at its start ({status}). It printed:\n{tail}");
        }
        if Instant::now() > deadline {
            let (seconds, tail) = (READY_TIMEOUT.as_secs(), log.tail(30));
            bail!("it is not ready after {seconds} s. It printed:\n{tail}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns the URL in the line that both runtimes print when they listen.
fn served_url(line: &str) -> Option<String> {
    let (_, after) = line.split_once("Serving ")?;
    let url = &after[after.find("http://")?..];
    let end = url.find(|letter: char| !letter.is_ascii_graphic());
    Some(
        url[..end.unwrap_or(url.len())]
            .trim_end_matches('/')
            .to_owned(),
    )
}

/// Returns a URL at which this machine reaches a server that listens on the address in `url`,
/// which may be an unspecified one such as 0.0.0.0.
#[must_use]
pub fn local_url(url: &str) -> String {
    let Some(Ok(mut address)) = url.strip_prefix("http://").map(str::parse::<SocketAddr>) else {
        return url.to_owned();
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_versions_of_spin() {
        for (text, version) in [
            ("spin 4.1.0 (abcdef0 2026-08-21)\n", (4, 1)),
            ("spin 4.1.0-pre0 (abcdef0 2026-08-21)\n", (4, 1)),
            ("spin 4.0.2 (abcdef0 2026-03-21)", (4, 0)),
            ("spin 10.2.0", (10, 2)),
        ] {
            assert_eq!(spin_version(text), Some(version), "{text}");
        }
        assert!((4, 10) >= OLDEST_SPIN && (4, 0) < OLDEST_SPIN && (3, 9) < OLDEST_SPIN);
    }

    #[test]
    fn does_not_take_other_programs_for_spin() {
        for text in ["Spin Version 6.5.2 -- 6 December 2019\n", "spin 6.5", ""] {
            assert_eq!(spin_version(text), None, "{text}");
        }
    }

    #[test]
    fn finds_the_url_that_the_runtimes_print() {
        for (line, url) in [
            (
                "Serving http://127.0.0.1:3000",
                Some("http://127.0.0.1:3000"),
            ),
            (
                "\u{1b}[1mServing \u{1b}[0mhttp://[::1]:80\u{1b}[0m",
                Some("http://[::1]:80"),
            ),
            ("  system: http://127.0.0.1:3000/...", None),
        ] {
            assert_eq!(served_url(line).as_deref(), url, "{line}");
        }
    }

    #[test]
    fn reaches_an_unspecified_address_on_loopback() {
        for (served, reached) in [
            ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("http://[::]:8080", "http://[::1]:8080"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ] {
            assert_eq!(local_url(served), reached);
        }
    }

    #[test]
    fn parses_the_names_that_it_prints() {
        for kind in [Kind::Embedded, Kind::Spin] {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("docker".parse::<Kind>().is_err());
    }
}
