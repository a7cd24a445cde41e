//! Installs missing programs with apt, where this process may: as root on Debian or Ubuntu.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::progress::Progress;
use crate::{lock, process};

/// Returns whether this is Debian or a derivative of it, and this process may install packages.
#[must_use]
pub fn is_available() -> bool {
    nix::unistd::geteuid().is_root()
        && which::which("apt-get").is_ok()
        && fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian(&text))
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|names| names.trim_matches('"').split_ascii_whitespace())
        .any(|name| matches!(name, "debian" | "ubuntu"))
}

/// Held while apt runs.
static APT: Mutex<()> = Mutex::new(());

/// Waits until apt does not run: a half-installed package is worse than a short wait at the end.
pub fn wait_until_idle() {
    drop(lock(&APT));
}

/// Installs packages, without starting the services in them. Blocks.
///
/// # Errors
/// When this process may not install packages, or apt fails even with fresh package lists.
/// `purpose` says in the message what the packages are for.
pub fn install(packages: &[&str], purpose: &str) -> Result<()> {
    let names = packages.join(" ");
    if !is_available() {
        let advice = if cfg!(target_os = "macos") {
            format!("with Homebrew, `brew install` the counterpart of {names}")
        } else {
            format!(
                "`sudo apt-get install {names}` on Debian or Ubuntu, or your system's counterpart"
            )
        };
        bail!("{purpose} is missing. Install it: {advice}");
    }
    let _lock = lock(&APT);
    let step = Progress::new().step(&format!("Installing {names} for {purpose}"));
    step.announce();
    let _disabled = ServiceStartDisabled::new();
    let install = || {
        let mut command = apt_get();
        command.args(["install", "-y", "--no-install-recommends", "--no-remove"]);
        run(command.args(packages))
    };
    // The package lists may be missing, or name versions that the mirror no longer has.
    if install().is_err() {
        step.message("fetching apt's package lists");
        let updated = run(apt_get().arg("update"));
        step.message("");
        if let Err(output) = install() {
            let update = updated.err().unwrap_or_default();
            bail!(
                "apt could not install {names}, needed for {purpose}:\n{update}{output}\n\
                 Check the network and the sources in /etc/apt, then try `apt-get update && apt-get install {names}`"
            );
        }
    }
    step.done();
    Ok(())
}

/// Returns a call of apt-get that asks no questions.
#[must_use]
pub fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args([
            "-q",
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "Acquire::Retries=2",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a command to its end. Ctrl-C in the terminal does not interrupt it.
///
/// # Errors
/// The last lines that it printed, when it fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(process::tail(&String::from_utf8_lossy(&printed), 15))
}

/// Debian's way to install a server without starting it: a script that forbids it. Our servers
/// have their own data and ports; a second one on the usual port would only be in the way.
struct ServiceStartDisabled(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl ServiceStartDisabled {
    fn new() -> Self {
        let script = "#!/bin/sh\n# Created by `cargo xtask` while it installs packages; may be removed.\nexit 101\n";
        let created = !Path::new(POLICY).exists()
            && fs::write(POLICY, script).is_ok()
            && fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).is_ok();
        Self(created)
    }
}

impl Drop for ServiceStartDisabled {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_debian_and_its_derivatives() {
        assert!(is_debian("NAME=x\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel\"\n"));
        assert!(!is_debian("VERSION_ID=debian\n"));
    }
}
