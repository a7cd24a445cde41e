//! Brings a database to the state that the folder `migrations/` describes, and back.
//!
//! The table of applied steps and its checksums are those of sqlx, which migrated
//! databases of earlier versions.

mod files;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::database;
use files::{Files, Script};

/// A step, and its state in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Number in the file's name.
    pub version: i64,
    /// Name in the file's name, with blanks.
    pub name: String,
    /// State in the database.
    pub state: State,
}

/// The state of a step in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Applied.
    Applied,
    /// Not yet applied.
    Pending,
    /// Applied, but its file has changed since.
    Changed,
    /// Applied, but its file is missing: the database is newer than this checkout.
    Unknown,
}

const CREATE_TABLE: &str = "create table if not exists _sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
)";

/// The waiting of a step for locks that other transactions hold.
#[derive(Clone, Copy, Debug)]
pub struct LockWait {
    /// Time after which a statement gives up. Later statements on the same table wait behind it for as long.
    pub timeout: Duration,
    /// Attempts before the run fails.
    pub attempts: u32,
    /// Time between two attempts, in which the statements that waited behind the step are executed.
    pub pause: Duration,
}

impl Default for LockWait {
    /// A minute in all. Each attempt ends long before the service's `database_statement_timeout` of 2.5 s.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            attempts: 20,
            pause: Duration::from_secs(2),
        }
    }
}

/// A folder of migrations.
pub struct Migrations {
    files: BTreeMap<i64, Files>,
    lock_wait: LockWait,
}

impl Migrations {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// When a file is unreadable, has no number, or has no `.down.sql` beside it.
    pub fn read(folder: &Path, lock_wait: LockWait) -> Result<Self> {
        let files = files::read(folder)?;
        Ok(Self { files, lock_wait })
    }

    fn of_repository() -> Result<Self> {
        Self::read(&crate::workspace().join("migrations"), LockWait::default())
    }

    /// Applies all pending steps, each in a transaction of its own. Concurrent runs wait for each other.
    ///
    /// # Errors
    /// When the database is unreachable, a step fails or gets no lock, or the files do not fit the applied steps.
    pub async fn up(&self, url: &str) -> Result<()> {
        let mut database = self.connect_and_lock(url).await?;
        database.batch_execute(CREATE_TABLE).await?;
        for step in self.checked_steps(&database).await? {
            if step.state == State::Pending {
                self.apply(&mut database, &step, Direction::Up).await?;
            }
        }
        Ok(())
    }

    /// Reverts the last steps.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub async fn down(&self, url: &str, steps: usize) -> Result<()> {
        let mut database = self.connect_and_lock(url).await?;
        let mut applied = self.checked_steps(&database).await?;
        applied.retain(|step| step.state == State::Applied);
        for step in applied.iter().rev().take(steps) {
            self.apply(&mut database, step, Direction::Down).await?;
        }
        Ok(())
    }

    /// The lock belongs to the connection: it ends with it, after a failure as well.
    async fn connect_and_lock(&self, url: &str) -> Result<Client> {
        let database = database::connect_to_starting(url).await?;
        // The URL or the role may limit statements and locks. Building an index on a large table takes longer, and so
        // does waiting for another run of the migrations.
        let lock = format!(
            "set statement_timeout = 0; set lock_timeout = 0;
            select pg_advisory_lock(hashtext('_sqlx_migrations'));
            set lock_timeout = {}",
            self.lock_wait.timeout.as_millis()
        );
        database.batch_execute(&lock).await?;
        Ok(database)
    }

    /// Applies or reverts a step. A step that gets no lock is tried again, so that the statements
    /// that wait behind it are executed in between.
    async fn apply(&self, database: &mut Client, step: &Step, direction: Direction) -> Result<()> {
        let files = &self.files[&step.version];
        let LockWait {
            timeout,
            attempts,
            pause,
        } = self.lock_wait;
        let script = match direction {
            Direction::Up => &files.up,
            Direction::Down => &files.down,
        };
        let Step { version, name, .. } = step;
        let kept = script.kept_after_failure();
        for attempt in 1..=attempts {
            let Err(error) = execute(database, *version, files, script, direction).await else {
                return Ok(());
            };
            if !is_lock_failure(&error) {
                return Err(error).with_context(|| format!(
                    "step {version:04} {name} failed, and {kept}: correct what the message names, then run `cargo xtask migrate {direction}` again"
                ));
            }
            if attempt < attempts {
                eprintln!(
                    "step {version:04} {name} got no lock within {timeout:?} and tries again in {pause:?}"
                );
                tokio::time::sleep(pause).await;
            }
        }
        bail!(
            "step {version:04} {name} got no lock in {attempts} attempts, and {kept}: end the transaction that holds the lock, which pg_stat_activity lists, then run `cargo xtask migrate {direction}` again"
        )
    }

    async fn steps(&self, database: &Client) -> Result<Vec<Step>> {
        let exists = "select to_regclass('_sqlx_migrations') is not null";
        let mut applied: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        if database.query_one(exists, &[]).await?.get(0) {
            let rows = "select version, checksum from _sqlx_migrations";
            let rows = database.query(rows, &[]).await?;
            applied.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
        }
        let mut versions: Vec<i64> = self.files.keys().chain(applied.keys()).copied().collect();
        versions.sort_unstable();
        versions.dedup();
        let step = |version| Step {
            version,
            name: self
                .files
                .get(&version)
                .map(|file| file.name.clone())
                .unwrap_or_default(),
            state: match (self.files.get(&version), applied.get(&version)) {
                (None, _) => State::Unknown,
                (Some(_), None) => State::Pending,
                (Some(file), Some(checksum)) if *checksum == file.up.checksum() => State::Applied,
                (Some(_), Some(_)) => State::Changed,
            },
        };
        Ok(versions.into_iter().map(step).collect())
    }

    /// Returns the steps, all of which are applied as the files have them or pending.
    async fn checked_steps(&self, database: &Client) -> Result<Vec<Step>> {
        let steps = self.steps(database).await?;
        for Step { version, state, .. } in &steps {
            match state {
                State::Applied | State::Pending => {}
                State::Changed => bail!(
                    "the file of step {version} has changed after it was applied: restore the file and write the change as a new step"
                ),
                State::Unknown => bail!(
                    "the database has step {version}, which is newer than this checkout: update the checkout"
                ),
            }
        }
        Ok(steps)
    }
}

/// Applies all pending steps of this repository, as [`Migrations::up`] does.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn up(url: &str) -> Result<()> {
    Migrations::of_repository()?.up(url).await
}

/// Reverts the last steps of this repository: one, unless `steps` is given.
///
/// # Errors
/// As [`Migrations::up`].
pub async fn down(url: &str, steps: Option<usize>) -> Result<()> {
    let migrations = Migrations::of_repository()?;
    migrations.down(url, steps.unwrap_or(1)).await
}

/// Returns all steps in order. Changes nothing in the database.
///
/// # Errors
/// When the database is unreachable.
pub async fn status(url: &str) -> Result<Vec<Step>> {
    let database = database::connect_to_starting(url).await?;
    Migrations::of_repository()?.steps(&database).await
}

/// Checks that no step is pending, because the service would not understand such a database.
///
/// # Errors
/// When a step is pending.
pub async fn ensure_current(url: &str) -> Result<()> {
    let steps = status(url).await?;
    if let Some(step) = steps.iter().find(|step| step.state == State::Pending) {
        let Step { version, name, .. } = step;
        bail!("the database lacks the step {version:04} {name}: run `cargo xtask migrate up`");
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Executes a step and records it, in one transaction. Batches are committed before.
async fn execute(
    database: &mut Client,
    version: i64,
    files: &Files,
    Script { sql, in_batches }: &Script,
    direction: Direction,
) -> Result<(), tokio_postgres::Error> {
    if *in_batches {
        while database.execute(sql, &[]).await? > 0 {}
    }
    let transaction = database.transaction().await?;
    if !in_batches {
        transaction.batch_execute(sql).await?;
    }
    match direction {
        Direction::Up => {
            let insert = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                values ($1, $2, true, $3, 0)";
            let checksum = files.up.checksum();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&version, &files.name, &checksum];
            transaction.execute(insert, &values).await?
        }
        Direction::Down => {
            let delete = "delete from _sqlx_migrations where version = $1";
            transaction.execute(delete, &[&version]).await?
        }
    };
    transaction.commit().await
}

fn is_lock_failure(error: &tokio_postgres::Error) -> bool {
    let failures = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| failures.contains(code))
}
