//! Random secrets in files that only their owner can read.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Returns the secret in `path`, 64 hexadecimal digits; creates the file if it is missing.
///
/// # Errors
/// When the file cannot be read or created, or holds fewer than 32 characters.
pub fn read_or_create(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) => {
            let secret = secret.trim().to_owned();
            ensure!(
                secret.len() >= 32,
                "{} is shorter than 32 characters: remove it, and a new one is created",
                path.display()
            );
            // A file that comes from a backup may have lost its mode.
            let _ = fs::set_permissions(path, Permissions::from_mode(0o600));
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a temporary file and renames it, so that an interrupted run leaves no half of a secret.
/// Temporary files have mode 600.
fn create(path: &Path) -> Result<String> {
    let secret = random()?;
    let written = || -> Result<()> {
        let folder = path.parent().context("it has no folder")?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(secret.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

/// Returns 32 random bytes as hexadecimal digits, which need no escaping in a URL or a file.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_a_secret_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = read_or_create(&path).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(read_or_create(&path).unwrap(), secret);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(
            read_or_create(&folder.path().join("other")).unwrap(),
            secret
        );
    }

    #[test]
    fn refuses_a_short_secret_and_does_not_show_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "hunter2").unwrap();
        let error = read_or_create(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()));
        assert!(!error.contains("hunter2"));
    }
}
