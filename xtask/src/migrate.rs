//! `cargo xtask migrate`: brings the database's tables up to date, or back.

use anyhow::Result;
use testbed::migrate::{self, State, Step};

use crate::local::Database;

/// Bring the database's tables up to date, or back
///
/// Uses the database in SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one.
///
/// Examples:
///   cargo xtask migrate status
///   cargo xtask migrate up
///   cargo xtask migrate down --steps 2
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
}

pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = &database.url;
    match arguments.action {
        Action::Up => migrate::up(url).await?,
        Action::Down { steps } => migrate::down(url, Some(steps)).await?,
        Action::Status => {}
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
