//! `cargo xtask restore`: restores a backup, or proves that it can be restored.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use testbed::backup::{self, Restored};

use crate::backup::folder;
use crate::local::Database;

/// Restore a backup of the database, or prove that it can be restored
///
/// Restores in one transaction, and compares rows, totals and sequences with those of the backup. The database is
/// that in SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one; it must be empty, or
/// is emptied with --replace. Run deploy/postgres/role.sql first on a new server.
///
/// Examples:
///   cargo xtask restore --check                          the newest backup, into a temporary Postgres
///   cargo xtask restore --check /mnt/backups
///   cargo xtask restore /mnt/backups/thought_diary-20261126T020000Z.dump
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A .dump file, or a folder, whose newest one is restored [default: .local/backups]
    backup: Option<PathBuf>,
    /// Restore into a temporary Postgres on this machine, which leaves the database alone
    #[arg(long)]
    check: bool,
    /// Delete what the database holds; without this, it must be empty
    #[arg(long, conflicts_with = "check")]
    replace: bool,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let mut file = arguments.backup.clone().unwrap_or_else(folder);
    if file.is_dir() {
        file = backup::newest(&file)?;
    }
    let restored = if arguments.check {
        backup::check(&file).await?
    } else {
        let database = Database::open().await?;
        let restored = backup::restore(&database.url, &file, arguments.replace).await;
        database.close().await;
        restored?
    };
    let Restored {
        contents,
        differences,
        is_compared,
    } = restored;
    for difference in &differences {
        println!("{difference}");
    }
    ensure!(
        differences.is_empty(),
        "{} was restored, but differs from what was backed up: see above",
        file.display()
    );
    println!(
        "Restored {}: {} tables with {} rows, and {}.",
        file.display(),
        contents.tables(),
        contents.rows(),
        if is_compared {
            "all as in the backup"
        } else {
            "totals and sequences fit (there is no .contents file to compare with)"
        }
    );
    Ok(())
}
