//! A release installed on a server: a real systemd of Debian 13 in a container.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::cargo;
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;
use tokio::task::spawn_blocking;

use super::report::{Summary, output, output_of};

/// What the installation needs, so that it needs no network.
const PACKAGES: &str = "ca-certificates,caddy,curl,dbus,iproute2,openssl,postgresql,redis-server,systemd,systemd-sysv,ufw";
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Registers, logs in, and defines `post`, which prints the status of storing an entry.
const CLIENT: &str = r#"
    api=https://localhost json='content-type: application/json'
    account='{"email":"server@example.com","password":"Passw0rd!"}'
    curl -sk -o /dev/null "$api/auth/register" -H "$json" -d "$account"
    token=$(curl -sk "$api/auth/login" -H "$json" -d "$account" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    post() { curl -sk -o /dev/null -w '%{http_code}\n' "$api/diaries" -H "$json" -H "authorization: Bearer $token" \
        -d '{"content":"What a wonderful morning."}'; }
    total() { curl -sk "$api/diaries/stats" -H "authorization: Bearer $token" | sed 's/.*"total_entries":\([0-9]*\).*/\1/'; }
"#;

/// Stores entries without a pause until /tmp/stop exists, and prints the statuses and the stored total.
const LOAD: &str = r#"
    rm -f /tmp/stop /tmp/statuses
    while [ ! -e /tmp/stop ]; do post; done > /tmp/statuses
    echo "$(grep -c '^201$' /tmp/statuses) $(grep -vc '^201$' /tmp/statuses) $(total)"
"#;

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    let name = "server: install, store over HTTPS, restart, kill, reboot, uninstall";
    let programs = ["mmdebstrap", "systemd-nspawn", "nsenter", "strip"];
    let missing: Vec<_> = programs
        .into_iter()
        .filter(|program| which::which(program).is_err())
        .collect();
    if !missing.is_empty() || output("id", &["-u"])?.trim() != "0" {
        summary.skipped += 1;
        println!("skip {name}: run it as root, with {}", programs.join(", "));
        return Ok(());
    }
    let host = cargo::host(progress).await?;
    let progress = progress.clone();
    summary.add(name, spawn_blocking(move || test(&host, &progress)).await?);
    Ok(())
}

fn test(host: &Path, progress: &Progress) -> Result<()> {
    let folder = testbed::workspace().join("target/test-deploy");
    let root = prepare_root(&folder, progress)?;
    assemble_release(&root, host)?;

    let step = progress.step("Testing a server");
    step.announce();
    let server = Server::boot(&root)?;
    step.message("installing");
    let install = "/root/release/deploy/systemd/install.sh localhost caddy";
    server.run(install)?;
    server.wait_until_ready()?;

    step.message("restarting both instances under load");
    let load = server.start(&format!("{CLIENT}{LOAD}"))?;
    server.run("sleep 2; DRAIN_SECONDS=3 thought-diary-restart; sleep 1; touch /tmp/stop")?;
    let printed = load.wait_with_output()?.stdout;
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    let [stored, failed, total] = printed.split(' ').collect::<Vec<_>>()[..] else {
        bail!("the load printed {printed:?}");
    };
    ensure!(
        failed == "0" && stored == total && stored != "0",
        "{stored} stored, {failed} failed, {total} found"
    );

    step.message("killing both instances");
    server.run("systemctl kill --signal=KILL thought-diary@3000 thought-diary@3001")?;
    server.wait_until_ready()?;

    step.message("rebooting");
    server.power_off()?;
    let server = Server::boot(&root)?;
    server.wait_until_ready()?;
    let after = server.run(&format!("{CLIENT} total"))?;
    ensure!(
        after.trim() == total,
        "{total} entries were stored, and {} are there after a reboot",
        after.trim()
    );

    step.message("checking sweep, backup, secrets and limits");
    server.run("systemctl start thought-diary-sweep thought-diary-backup && ls /var/lib/private/thought-diary-backup/*.dump")?;
    let exposed = server.run(
        "for pid in $(pgrep -x host); do cat /proc/$pid/environ /proc/$pid/cmdline; done |
         grep -cf <(cat /etc/thought-diary/credentials/{service,redis}_password /etc/thought-diary/credentials/jwt_secret_key | fold -w 64) || true",
    )?;
    ensure!(
        exposed.trim() == "0",
        "a secret is in the environment or on the command line of the service"
    );

    step.message("installing again, and uninstalling");
    server.run(&format!(
        "DRAIN_SECONDS=1 {install} && /root/release/deploy/systemd/install.sh --uninstall"
    ))?;
    let left = server.run("systemctl list-units --all --no-legend 'thought-diary*'; ls -d /opt/thought-diary* 2>/dev/null || true")?;
    ensure!(left.trim().is_empty(), "uninstalling left {left}");
    server.power_off()?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    step.done();
    Ok(())
}

/// Returns a fresh root file system. The one that it is copied from is kept, because making it takes minutes.
fn prepare_root(folder: &Path, progress: &Progress) -> Result<PathBuf> {
    let (base, root) = (folder.join("base"), folder.join("root"));
    if !base.exists() {
        let step = progress.step("Making a root file system of Debian 13");
        step.announce();
        let unfinished = folder.join("base.new");
        let unfinished_path = unfinished.to_string_lossy();
        fs::create_dir_all(folder)?;
        let _ = fs::remove_dir_all(&unfinished);
        output(
            "mmdebstrap",
            &[
                "--variant=minbase",
                &format!("--include={PACKAGES}"),
                "trixie",
                &unfinished_path,
            ],
        )?;
        fs::rename(&unfinished, &base)?;
        step.done();
    }
    let _ = fs::remove_dir_all(&root);
    output(
        "cp",
        &[
            "--archive",
            "--reflink=auto",
            &base.to_string_lossy(),
            &root.to_string_lossy(),
        ],
    )?;
    Ok(root)
}

fn assemble_release(root: &Path, host: &Path) -> Result<()> {
    let programs = tempfile::tempdir()?;
    symlink(host, programs.path().join("host"))?;
    symlink(std::env::current_exe()?, programs.path().join("xtask"))?;
    let release = root.join("root/release");
    let mut assemble = Command::new("deploy/assemble.sh");
    output_of(assemble.arg(&release).arg(programs.path()))?;
    // This xtask looks for migrations/ in the folder that it was compiled in.
    let checkout = testbed::workspace();
    let compiled_in = root.join(checkout.strip_prefix("/")?);
    if !compiled_in.exists() {
        fs::create_dir_all(&compiled_in)?;
        symlink(
            "/opt/thought-diary/migrations",
            compiled_in.join("migrations"),
        )?;
    }
    Ok(())
}

/// A running container, powered off when dropped.
struct Server {
    nspawn: ChildProcess,
    /// Process id of its systemd.
    leader: String,
}

impl Server {
    fn boot(root: &Path) -> Result<Self> {
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
    fn run(&self, script: &str) -> Result<String> {
        output_of(&mut enter(&self.leader, script))
    }

    /// Starts a script in the container.
    fn start(&self, script: &str) -> Result<std::process::Child> {
        let mut command = enter(&self.leader, script);
        Ok(command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while let Err(error) = self.run(
            "curl --silent --show-error --insecure --fail --max-time 5 https://localhost/ready",
        ) {
            if Instant::now() > deadline {
                let log = self
                    .run("journalctl --no-pager --lines=20 --unit='thought-diary*' --unit=caddy")
                    .unwrap_or_default();
                return Err(error).context(format!(
                    "the service is not ready; its log ends with:\n{log}"
                ));
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        Ok(())
    }

    fn power_off(self) -> Result<()> {
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
