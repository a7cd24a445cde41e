//! Installs missing programs with apt, where that is ours to do: as root on Debian or Ubuntu.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::process::lock;
use crate::progress::Progress;

/// Whether this is Debian or a relative of it, and we may install.
#[must_use]
pub fn is_ours() -> bool {
    nix::unistd::geteuid().is_root()
        && find_program("apt-get").is_some()
        && fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian(&text))
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|names| names.trim_matches('"').split_ascii_whitespace())
        .any(|name| matches!(name, "debian" | "ubuntu"))
}

/// Held while apt works.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits until apt is not at work for us: a package installed by half is worse than a moment more.
pub fn wait_until_idle() {
    drop(lock(&ONE_AT_A_TIME));
}

/// Installs packages, without starting the services that they bring.
///
/// # Errors
/// When apt is not ours to use, or fails even with fresh package lists; `purpose` says what the packages are for.
pub fn install(packages: &[&str], purpose: &str) -> Result<()> {
    let names = packages.join(" ");
    if !is_ours() {
        bail!("{purpose} is missing. Install it: {}", advice(&names));
    }
    let _only = lock(&ONE_AT_A_TIME);
    let step = Progress::new().step(&format!("Installing {names} for {purpose}"));
    step.announce();
    let _no_services = ServicesHeld::new();
    // The lists may never have been fetched, or name versions that the mirror no longer has.
    let first = run(&mut apt_get(
        &["install", "-y", "--no-install-recommends", "--no-remove"],
        packages,
    ));
    if first.is_err() {
        step.doing("fetching apt's package lists");
        let updated = run(&mut apt_get(&["update"], &[]));
        step.doing("");
        let second = run(&mut apt_get(
            &["install", "-y", "--no-install-recommends", "--no-remove"],
            packages,
        ));
        if let Err(output) = second {
            let update = updated.err().unwrap_or_default();
            bail!(
                "apt could not install {names}, needed for {purpose}:\n{update}{output}\n\
                 Look at the lines above (network? sources in /etc/apt?), then try `apt-get update && apt-get install {names}`"
            );
        }
    }
    step.done();
    Ok(())
}

fn advice(names: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("with Homebrew, `brew install` the counterpart of {names}")
    } else {
        format!("`sudo apt-get install {names}` on Debian or Ubuntu, or your system's counterpart")
    }
}

/// A call of apt-get that asks nothing.
pub(crate) fn apt_get(arguments: &[&str], packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(["-o", "Acquire::Retries=2"])
        .args(arguments)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a command to its end; the error is the tail of what it printed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(std::process::Stdio::null())
        // Ctrl-C in the terminal must not stop it half-way.
        .process_group(0)
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = printed.lines().collect();
    let from = lines.len().saturating_sub(15);
    Err(lines[from..].join("\n"))
}

/// The first program of this name on the PATH.
#[must_use]
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Whether this is a file that can be run.
#[must_use]
pub fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Debian's way to install a server without starting it. We start our own, with
/// our own data, and nobody asked for a second one on the usual port.
struct ServicesHeld(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl ServicesHeld {
    fn new() -> Self {
        let script = "#!/bin/sh\n# Made by `cargo xtask` while it installs packages; may be removed.\nexit 101\n";
        let ours = !Path::new(POLICY).exists()
            && fs::write(POLICY, script).is_ok()
            && fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).is_ok();
        Self(ours)
    }
}

impl Drop for ServicesHeld {
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
    fn debian_and_its_relatives_are_known() {
        assert!(is_debian("NAME=x\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel\"\n"));
        assert!(!is_debian("VERSION_ID=debian\n"));
    }
}
