//! `cargo xtask migrate`: brings the database's tables up to date, or back.

use anyhow::{Result, ensure};
use testbed::migrate::{self, State, Step};
use testbed::retirement::{self, Hashes};

use crate::local::Database;

/// Bring the database's tables up to date, or back
///
/// Uses the database in SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one.
///
/// Examples:
///   cargo xtask migrate status
///   cargo xtask migrate up
///   cargo xtask migrate down --steps 2
///   cargo xtask migrate finish --yes
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Apply all pending steps
    Up,
    /// Revert the last step; its tables and columns are dropped with their content
    Down {
        /// Number of steps
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List the steps and their states in the database
    Status,
    /// Delete the bcrypt hashes that are kept for the replaced service, which then cannot run on this database again
    ///
    /// Accounts whose users have not logged in since the adoption keep their bcrypt hash until they do.
    Finish {
        /// Delete them; without this, only their number is shown
        #[arg(long)]
        yes: bool,
    },
}

pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = &database.url;
    match arguments.action {
        Action::Up => migrate::up(url).await?,
        Action::Down { steps } => migrate::down(url, Some(steps)).await?,
        Action::Status => {}
        Action::Finish { yes } => {
            let finished = finish(url, yes).await;
            database.close().await;
            return finished;
        }
    }
    for Step {
        version,
        name,
        state,
    } in migrate::status(url).await?
    {
        let state = match state {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Changed => "applied, but its file has changed since",
            State::Unknown => "applied, but not in this checkout",
        };
        println!("{version:04} {name}: {state}");
    }
    database.close().await;
    Ok(())
}

async fn finish(url: &str, is_confirmed: bool) -> Result<()> {
    let Hashes {
        kept, bcrypt_only, ..
    } = retirement::hashes(url).await?;
    ensure!(
        is_confirmed,
        "this deletes {kept} bcrypt hashes, and the replaced service cannot verify the passwords of their users again: if it will not return, repeat the command with --yes"
    );
    let deleted = retirement::finish(url).await?;
    println!("Deleted {deleted} bcrypt hashes that were kept for the replaced service.");
    println!(
        "{bcrypt_only} accounts have only a bcrypt hash. The next login of their users replaces it, and keeps it no longer."
    );
    Ok(())
}
