//! A proxy in front of the measured service: nginx, which reuses few connections for many clients.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::api::Call;
use testbed::apt;
use testbed::process::{ChildProcess, Signal};
use testbed::server::free_address;
use tokio::task::spawn_blocking;

/// As in deploy/proxy/nginx.conf, without TLS, and without the limits per client address: all clients have the same here.
const CONFIGURATION: &str = include_str!("nginx.conf");
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// A running nginx, stopped when dropped.
pub struct Proxy {
    url: String,
    child: ChildProcess,
    _folder: TempDir,
}

impl Proxy {
    /// Starts nginx in front of the service at `service`.
    pub async fn start(service: &str) -> Result<Self> {
        spawn_blocking(|| match which::which("nginx") {
            Ok(_) => Ok(()),
            Err(_) => apt::install(&["nginx"], "the proxy of the measurement"),
        })
        .await??;
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let address = free_address()?;
        let configuration = CONFIGURATION
            .replace("LISTEN", &address.to_string())
            .replace("SERVICE", service.trim_start_matches("http://"))
            .replace("FOLDER", &folder.path().to_string_lossy());
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let proxy = Self {
            url: format!("http://{address}"),
            child: ChildProcess::start(command, Signal::SIGTERM)?,
            _folder: folder,
        };
        let begun = Instant::now();
        while let Err(error) = Call::get("/health").send(&proxy.url).await {
            ensure!(
                begun.elapsed() < READY_TIMEOUT,
                "nginx does not start: {error:#}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(proxy)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}
