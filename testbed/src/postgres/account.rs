//! The user that Postgres runs as: it refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::{User, geteuid};

/// The account of the server's processes.
pub(super) struct Account {
    /// Another user, where this process runs as root.
    user: Option<User>,
    /// Whether that user may pass all folders above the data. Not so below `/root`, for example.
    can_reach_data: bool,
}

impl Account {
    pub(super) fn for_folder(dir: &Path) -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self {
                user: None,
                can_reach_data: true,
            });
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .context("Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`: add one")?;
        let mut parents = dir.ancestors().skip(1);
        Ok(Self {
            can_reach_data: parents.all(|folder| may_pass(folder, &user)),
            user: Some(user),
        })
    }

    /// Makes the account the owner of a file or folder, with this mode.
    pub(super) fn give(&self, path: &Path, mode: u32) -> Result<()> {
        if let Some(user) = &self.user {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(|| {
                format!("cannot give {} to the user {}", path.display(), user.name)
            })?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot set the mode of {}", path.display()))
    }

    /// Returns a command that runs `program` as the account in `dir`.
    pub(super) fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = match &self.user {
            Some(user) if !self.can_reach_data => with_access_to_closed_folders(user, program),
            user => {
                let mut command = Command::new(program);
                if let Some(user) = user {
                    command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
                }
                command
            }
        };
        // Other variables might hold secrets, or settings of another Postgres.
        let zone = std::env::var_os("TZ").map(|zone| ("TZ", zone));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .envs(zone)
            .current_dir(dir);
        command
    }
}

/// Runs `program` as `user` with one capability left: to pass folders that are closed to others.
/// `setpriv` is part of every Debian; opening `/root` to everyone would be worse.
fn with_access_to_closed_folders(user: &User, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", user.uid))
        .arg(format!("--regid={}", user.gid))
        // Changing the user clears the signal that was requested for the parent's exit.
        .args(["--clear-groups", "--pdeathsig=INT"])
        .args([
            "--inh-caps=-all,+dac_override",
            "--ambient-caps=-all,+dac_override",
        ])
        .arg("--bounding-set=-all,+dac_override")
        .arg(program);
    command
}

fn may_pass(folder: &Path, user: &User) -> bool {
    fs::metadata(folder).is_ok_and(|data| {
        let needed = if data.uid() == user.uid.as_raw() {
            0o100
        } else if data.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        data.mode() & needed != 0
    })
}
