//! Random secrets kept in files that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The secret in `path`, 64 hexadecimal digits; made at random when the file is missing.
///
/// # Errors
/// When the file cannot be read or made, or holds something too short to be one.
pub fn read_or_make(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) => {
            let secret = secret.trim().to_owned();
            ensure!(
                secret.len() >= 32,
                "{} is shorter than 32 characters: remove it, and a new one is made",
                path.display()
            );
            // It may have come from a backup that lost its mode.
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn make(path: &Path) -> Result<String> {
    let secret = random()?;
    // Written beside and renamed, so that a run cut short leaves no half of a secret.
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

/// 32 random bytes as hexadecimal digits, which need no escaping in a URL or a file.
///
/// # Errors
/// When the system gives no random bytes.
pub fn random() -> Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read random bytes from /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = read_or_make(&path).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(read_or_make(&path).unwrap(), secret);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(read_or_make(&folder.path().join("other")).unwrap(), secret);
    }

    #[test]
    fn a_file_without_a_secret_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "short").unwrap();
        let error = read_or_make(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()));
        assert!(!error.contains("'short'"));
    }
}
