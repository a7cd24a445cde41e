//! The age of the newest backup.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::findings::Findings;

/// A day, and two hours for the backup itself.
const MAX_AGE: Duration = Duration::from_secs(26 * 3600);

pub fn check(folder: Option<&Path>, findings: &mut Findings) {
    let Some(folder) = folder else {
        return findings.skipped(
            "backups",
            "pass --backups with their folder, or check the age of your provider's newest one",
        );
    };
    match newest(folder) {
        Err(error) => findings.failed("backups", format!("{error:#}")),
        Ok(None) => findings.failed(
            "backups",
            format!(
                "{} has no .dump file: run deploy/backup.sh",
                folder.display()
            ),
        ),
        Ok(Some(time)) => {
            let age = time.elapsed().unwrap_or_default();
            let hours = age.as_secs() / 3600;
            findings.expect(
                "backups",
                age < MAX_AGE,
                format!("the newest is {hours} h old; keep a copy on another machine"),
                format!(
                    "the newest is {hours} h old: check the timer or the service that writes them"
                ),
            );
        }
    }
}

/// Returns when the newest backup that is not empty was written.
fn newest(folder: &Path) -> Result<Option<SystemTime>> {
    let files =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut newest = None;
    for file in files {
        let file = file?;
        let metadata = file.metadata()?;
        if file
            .path()
            .extension()
            .is_some_and(|extension| extension == "dump")
            && metadata.len() > 0
        {
            newest = newest.max(Some(metadata.modified()?));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::super::findings::Outcome;
    use super::*;

    fn check_with(age: Option<Duration>) -> (Outcome, String) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(age) = age {
            let file = std::fs::File::create(folder.path().join("diary-1.dump")).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let mut findings = Findings::default();
        check(Some(folder.path()), &mut findings);
        let (outcome, message) = findings.of("backups")[0];
        (
            outcome,
            message.replace(&folder.path().display().to_string(), "FOLDER"),
        )
    }

    #[test]
    fn accepts_a_backup_of_the_last_day() {
        let (outcome, message) = check_with(Some(Duration::from_secs(3 * 3600 + 60)));
        assert_eq!(outcome, Outcome::Passed);
        assert_eq!(
            message,
            "the newest is 3 h old; keep a copy on another machine"
        );
    }

    #[test]
    fn refuses_an_old_backup_and_an_empty_folder() {
        let (outcome, message) = check_with(Some(Duration::from_secs(48 * 3600 + 60)));
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(
            message,
            "the newest is 48 h old: check the timer or the service that writes them"
        );
        let (outcome, message) = check_with(None);
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(message, "FOLDER has no .dump file: run deploy/backup.sh");
    }
}
