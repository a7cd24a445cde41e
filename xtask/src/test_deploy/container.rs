//! A real systemd in a container.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testbed::process::{ChildProcess, Signal};

use super::report::output_of;

const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A running container, powered off when dropped.
pub struct Server {
    nspawn: ChildProcess,
    /// Process id of its systemd.
    leader: String,
}

impl Server {
    /// Boots a root file system.
    pub fn boot(root: &Path) -> Result<Self> {
        let mut command = Command::new("systemd-nspawn");
        command
            .args([
                "--boot",
                "--private-network",
                "--machine=thought-diary-test",
                "--register=no",
                "--keep-unit",
            ])
            .arg("--directory")
            .arg(root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            // This machine has the first version of control groups, which systemd accepts only if it is told to.
            command
                .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0")
                .arg("--setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1");
        }
        let nspawn = ChildProcess::start(command, Signal::SIGTERM)?;
        let pid = nspawn.pid();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let deadline = Instant::now() + BOOT_TIMEOUT;
        loop {
            let leader = fs::read_to_string(&children).unwrap_or_default();
            let server = leader.split_whitespace().next().map(ToOwned::to_owned);
            if let Some(leader) = server {
                let state =
                    enter(&leader, "systemctl is-system-running --wait || true").output()?;
                let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
                // Units of the machine that a container does not have may have failed.
                if ["running", "degraded"].contains(&state.as_str()) {
                    return Ok(Self { nspawn, leader });
                }
            }
            ensure!(
                Instant::now() < deadline,
                "the container does not boot: try `systemd-nspawn --boot --directory {}`",
                root.display()
            );
            std::thread::sleep(RETRY_INTERVAL);
        }
    }

    /// Runs a script in the container and returns what it printed.
    pub fn run(&self, script: &str) -> Result<String> {
        output_of(&mut enter(&self.leader, script))
    }

    /// Starts a script in the container.
    pub fn start(&self, script: &str) -> Result<std::process::Child> {
        let mut command = enter(&self.leader, script);
        Ok(command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?)
    }

    /// Shuts it down, as a reboot does.
    pub fn power_off(self) -> Result<()> {
        self.run("systemctl poweroff --no-block")?;
        let Self { mut nspawn, .. } = self;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while nspawn.status().is_none() && Instant::now() < deadline {
            std::thread::sleep(RETRY_INTERVAL);
        }
        nspawn.stop_blocking(Signal::SIGTERM, STOP_TIMEOUT);
        Ok(())
    }
}

/// Returns a call of bash in the container. `/usr/local/sbin` is where the installation puts a command.
fn enter(leader: &str, script: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        leader,
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--",
        "/bin/bash",
        "-euc",
        script,
    ]);
    command.env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command
}
