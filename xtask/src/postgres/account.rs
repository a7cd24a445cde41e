//! Who Postgres runs as: it refuses root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::{User, geteuid};

/// The account of the server's processes.
pub(super) enum Account {
    /// Ours, not root.
    Own,
    /// Another, which can reach the data folder by its own rights.
    Other(User),
    /// Another, which cannot: the folder lies below one of root alone, such as `/root`.
    Shut(User),
}

impl Account {
    pub(super) fn for_folder(dir: &Path) -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .context("Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`: add one")?;
        let reachable = dir
            .ancestors()
            .skip(1)
            .all(|folder| may_pass(folder, &user));
        Ok(if reachable {
            Self::Other(user)
        } else {
            Self::Shut(user)
        })
    }

    /// Makes the account the owner of a file or folder, with this mode.
    pub(super) fn give(&self, path: &Path, mode: u32) -> Result<()> {
        if let Self::Other(user) | Self::Shut(user) = self {
            let owner = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            chown(path, owner.0, owner.1).with_context(|| {
                format!("cannot give {} to the user {}", path.display(), user.name)
            })?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot set the mode of {}", path.display()))
    }

    /// A call of `program` by the account, from within `dir`.
    pub(super) fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = match self {
            Self::Own => Command::new(program),
            Self::Other(user) => {
                let mut command = Command::new(program);
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
                command
            }
            Self::Shut(user) => past_shut_folders(user, program),
        };
        // The rest of the environment might hold secrets, or settings of another Postgres.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C");
        if let Some(zone) = std::env::var_os("TZ") {
            command.env("TZ", zone);
        }
        command.current_dir(dir);
        command
    }
}

/// Runs `program` as `user` with one capability left: to pass folders that shut others out.
/// `setpriv` is part of every Debian; changing the mode of `/root` would be worse.
fn past_shut_folders(user: &User, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", user.uid))
        .arg(format!("--regid={}", user.gid))
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
