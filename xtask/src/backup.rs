//! `cargo xtask backup`: writes a backup of the database.

use std::path::PathBuf;

use anyhow::Result;
use testbed::backup;

use crate::local::{self, Database};

/// Write a backup of the database, and delete the oldest ones
///
/// Runs deploy/backup.sh, which the timer of a server and the Compose service `backup` run each night, on the
/// database in SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one. The role must
/// own the tables. Beside each .dump file, a .contents file has the numbers of rows and the totals.
///
/// Examples:
///   cargo xtask backup
///   cargo xtask backup --folder /mnt/backups --keep 30
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Folder of the backups [default: .local/backups]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Number of backups to keep
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let folder = arguments.folder.clone().unwrap_or_else(folder);
    let written = backup::write(&database.url, &folder, arguments.keep.into()).await;
    database.close().await;
    println!("Wrote {}.", written?.display());
    Ok(())
}

/// Returns the folder of local backups.
pub fn folder() -> PathBuf {
    local::folder().join("backups")
}
