//! `cargo xtask seed`: adds or removes sample users with diaries.

use anyhow::Result;
use testbed::seed::{self, PASSWORD, USERS};
use testbed::{migrate, settings};

use crate::local::Database;

/// Add sample users and diaries, or remove them
///
/// Safe to repeat: existing users stay as they are. Uses the database in
/// SPIN_VARIABLE_DATABASE_URL (environment or .env), or the private local one.
///
/// Examples:
///   cargo xtask seed
///   cargo xtask seed --clear
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Remove the sample users and everything that belongs to them
    #[arg(long)]
    clear: bool,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = &database.url;
    if database.started.is_some() {
        migrate::up(url).await?;
    } else {
        migrate::ensure_current(url).await?;
    }
    if arguments.clear {
        println!("Removed {} sample users.", seed::clear(url).await?);
    } else {
        let added = seed::add(url).await?;
        let existing = USERS.len() - added;
        println!("Added {added} sample users; {existing} existed already.");
        if !is_local(&settings::database_host(url)?) {
            eprintln!(
                "Warning: this database is on another machine, and the password below is public. `cargo xtask seed --clear` removes these users."
            );
        }
        for (email, diaries) in USERS {
            println!("  {email}  password {PASSWORD}  ({diaries} diaries)");
        }
    }
    database.close().await;
    Ok(())
}

/// Returns whether `host:port` is on this machine.
fn is_local(host: &str) -> bool {
    let local = ["127.", "localhost:", "[::1]:"];
    local.iter().any(|prefix| host.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_local_from_remote_databases() {
        for host in ["127.0.0.1:5432", "localhost:1", "[::1]:5432"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["db.example:5432", "10.0.0.1:5432", "localhost.example:1"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
