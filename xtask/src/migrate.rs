//! Brings a database to the state that the folder `migrations/` describes, and back.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::local::Database;

/// A step and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, as in the file's name.
    pub version: i64,
    /// Its name, as in the file's name, with blanks.
    pub name: String,
    /// Whether the database has it.
    pub state: State,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Done.
    Applied,
    /// Not yet done.
    Pending,
    /// Done, but its file has been changed since.
    Changed,
    /// Done, but its file is gone: the database is newer than this checkout.
    Unknown,
}

const TABLE: &str = "_sqlx_migrations";

/// Applies all pending steps. Run from two places at once, one waits for the other, by an advisory lock.
///
/// # Errors
/// When the database is away, a step fails, or the files do not fit what was applied earlier.
pub async fn up(url: &str) -> Result<()> {
    let migrator = migrator().await?;
    let database = connect(url).await?;
    let done = migrator.run(&database).await;
    // After a failure this is what gives the lock back.
    database.close().await;
    done.map_err(explain)
}

/// Takes back the last steps: one, unless `steps` says how many.
///
/// # Errors
/// As [`up`].
pub async fn down(url: &str, steps: Option<usize>) -> Result<()> {
    let migrator = migrator().await?;
    let database = connect(url).await?;
    let mut versions: Vec<i64> = applied(&database)
        .await?
        .iter()
        .map(|step| step.version)
        .collect();
    versions.sort_unstable();
    let kept = versions.len().saturating_sub(steps.unwrap_or(1));
    let target = kept.checked_sub(1).map_or(0, |last| versions[last]);
    let done = migrator.undo(&database, target).await;
    database.close().await;
    done.map_err(explain)
}

/// All steps in order. Changes nothing in the database.
///
/// # Errors
/// When the database is away.
pub async fn status(url: &str) -> Result<Vec<Step>> {
    let migrator = migrator().await?;
    let database = connect(url).await?;
    let applied = applied(&database).await?;
    database.close().await;
    let known = migrator
        .iter()
        .filter(|step| step.migration_type.is_up_migration());
    let mut steps: Vec<Step> = known
        .map(|step| Step {
            version: step.version,
            name: step.description.to_string(),
            state: match applied
                .iter()
                .find(|applied| applied.version == step.version)
            {
                None => State::Pending,
                Some(applied) if applied.checksum == step.checksum => State::Applied,
                Some(_) => State::Changed,
            },
        })
        .collect();
    let is_known = |version| {
        migrator
            .iter()
            .any(|step: &Migration| step.version == version)
    };
    steps.extend(
        applied
            .iter()
            .filter(|applied| !is_known(applied.version))
            .map(|applied| Step {
                version: applied.version,
                name: String::new(),
                state: State::Unknown,
            }),
    );
    Ok(steps)
}

async fn migrator() -> Result<Migrator> {
    let folder = crate::workspace().join("migrations");
    Migrator::new(folder.clone())
        .await
        .with_context(|| format!("cannot read the migrations in {}", folder.display()))
}

/// One connection, in a pool only because that is what sqlx can share with other tasks.
async fn connect(url: &str) -> Result<PgPool> {
    // The URL of the service may bound its statements; building an index on a large table takes longer.
    let options = url
        .parse::<PgConnectOptions>()
        .map_err(|_| anyhow!("the database URL is not one"))?
        .options([("statement_timeout", "0")]);
    PgPoolOptions::new()
        .max_connections(1)
        // A server that is just starting is waited for.
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
        .context("cannot connect to the database: is it running, and is the URL right?")
}

/// The steps that the database has. Changes nothing in it, not even where migrating has never begun.
async fn applied(database: &PgPool) -> Result<Vec<AppliedMigration>> {
    let begun: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(TABLE)
        .fetch_one(database)
        .await?;
    if !begun {
        return Ok(Vec::new());
    }
    let mut connection = database.acquire().await?;
    connection
        .list_applied_migrations(TABLE)
        .await
        .map_err(explain)
}

fn explain(error: MigrateError) -> anyhow::Error {
    let advice = match &error {
        MigrateError::VersionMismatch(_) => {
            "its file was changed after it had been applied: restore the file and write the change as a new step"
        }
        MigrateError::VersionMissing(_) => {
            "the database is newer than this checkout: update the checkout"
        }
        MigrateError::Dirty(_) => {
            "it was cut short earlier: put the database right by hand, then delete its row from _sqlx_migrations"
        }
        _ => {
            "nothing of the failed step was kept; put right what the message names and run `cargo xtask migrate up` again"
        }
    };
    anyhow::Error::new(error).context(format!("migrating failed: {advice}"))
}

/// Refuses to go on with a database that the service would not understand.
///
/// # Errors
/// When a step is pending.
pub async fn ensure_current(url: &str) -> Result<()> {
    let steps = status(url).await?;
    if let Some(step) = steps.iter().find(|step| step.state == State::Pending) {
        bail!(
            "the database lacks the step {:04} {}: run `cargo xtask migrate up`",
            step.version,
            step.name
        );
    }
    Ok(())
}

/// Bring the database's tables up to date, or back
///
/// Uses the database of SPIN_VARIABLE_DATABASE_URL (environment or .env), else the private local one.
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
    /// Take back the last step; its tables and columns are dropped with what they hold
    Down {
        /// How many steps
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List the steps and whether the database has them
    Status,
}

/// `cargo xtask migrate`.
///
/// # Errors
/// When the database cannot be had, or as [`up`].
pub async fn run(arguments: &Args) -> Result<()> {
    let database = Database::open().await?;
    let url = database.url();
    match arguments.action {
        Action::Up => up(url).await?,
        Action::Down { steps } => down(url, Some(steps)).await?,
        Action::Status => {}
    }
    for step in status(url).await? {
        let state = match step.state {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Changed => "applied, but its file has changed since",
            State::Unknown => "applied, but not in this checkout",
        };
        println!("{:04} {}: {state}", step.version, step.name);
    }
    database.close().await
}
