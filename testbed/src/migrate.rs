//! Brings a database to the state that the folder `migrations/` describes, and back.
//!
//! The table of applied steps and its checksums are those of sqlx, which migrated
//! databases of earlier versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha384};
use tokio_postgres::Client;

use crate::database;

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

/// The files of a step.
struct Files {
    name: String,
    up: String,
    down: String,
}

impl Files {
    fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.up.as_bytes()).to_vec()
    }
}

const CREATE_TABLE: &str = "create table if not exists _sqlx_migrations (
    version bigint primary key,
    description text not null,
    installed_on timestamptz not null default now(),
    success boolean not null,
    checksum bytea not null,
    execution_time bigint not null
)";

/// Applies all pending steps, each in a transaction of its own. Concurrent runs wait for each other.
///
/// # Errors
/// When the database is unreachable, a step fails, or the files do not fit the applied steps.
pub async fn up(url: &str) -> Result<()> {
    let files = read_files()?;
    let mut database = connect_and_lock(url).await?;
    database.batch_execute(CREATE_TABLE).await?;
    for step in checked_steps(&database, &files).await? {
        if step.state == State::Pending {
            let Files { name, up, .. } = &files[&step.version];
            let checksum = files[&step.version].checksum();
            let note = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                values ($1, $2, true, $3, 0)";
            let transaction = database.transaction().await?;
            let applied = async {
                transaction.batch_execute(up).await?;
                transaction
                    .execute(note, &[&step.version, name, &checksum])
                    .await?;
                transaction.commit().await
            };
            applied.await.with_context(|| failure(&step, "up"))?;
        }
    }
    Ok(())
}

/// Reverts the last steps: one, unless `steps` is given.
///
/// # Errors
/// As [`up`].
pub async fn down(url: &str, steps: Option<usize>) -> Result<()> {
    let files = read_files()?;
    let mut database = connect_and_lock(url).await?;
    let mut applied = checked_steps(&database, &files).await?;
    applied.retain(|step| step.state == State::Applied);
    for step in applied.iter().rev().take(steps.unwrap_or(1)) {
        let transaction = database.transaction().await?;
        let reverted = async {
            transaction
                .batch_execute(&files[&step.version].down)
                .await?;
            let delete = "delete from _sqlx_migrations where version = $1";
            transaction.execute(delete, &[&step.version]).await?;
            transaction.commit().await
        };
        reverted.await.with_context(|| failure(step, "down"))?;
    }
    Ok(())
}

/// Returns all steps in order. Changes nothing in the database.
///
/// # Errors
/// When the database is unreachable.
pub async fn status(url: &str) -> Result<Vec<Step>> {
    let database = database::connect_to_starting(url).await?;
    steps(&database, &read_files()?).await
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

/// The lock belongs to the connection: it ends with it, after a failure as well.
async fn connect_and_lock(url: &str) -> Result<Client> {
    let database = database::connect_to_starting(url).await?;
    // The URL may limit the time of statements; building an index on a large table takes longer.
    let lock = "set statement_timeout = 0; select pg_advisory_lock(hashtext('_sqlx_migrations'))";
    database.batch_execute(lock).await?;
    Ok(database)
}

async fn steps(database: &Client, files: &BTreeMap<i64, Files>) -> Result<Vec<Step>> {
    let exists = "select to_regclass('_sqlx_migrations') is not null";
    let mut applied: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    if database.query_one(exists, &[]).await?.get(0) {
        let rows = "select version, checksum from _sqlx_migrations";
        let rows = database.query(rows, &[]).await?;
        applied.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
    }
    let mut versions: Vec<i64> = files.keys().chain(applied.keys()).copied().collect();
    versions.sort_unstable();
    versions.dedup();
    let step = |version| Step {
        version,
        name: files
            .get(&version)
            .map(|file| file.name.clone())
            .unwrap_or_default(),
        state: match (files.get(&version), applied.get(&version)) {
            (None, _) => State::Unknown,
            (Some(_), None) => State::Pending,
            (Some(file), Some(checksum)) if *checksum == file.checksum() => State::Applied,
            (Some(_), Some(_)) => State::Changed,
        },
    };
    Ok(versions.into_iter().map(step).collect())
}

/// Returns the steps, all of which are applied as the files have them or pending.
async fn checked_steps(database: &Client, files: &BTreeMap<i64, Files>) -> Result<Vec<Step>> {
    let steps = steps(database, files).await?;
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

fn failure(step: &Step, direction: &str) -> String {
    let Step { version, name, .. } = step;
    format!(
        "step {version:04} {name} failed, and nothing of it was kept: correct what the message names, then run `cargo xtask migrate {direction}` again"
    )
}

/// Reads `migrations/<number>_<name>.up.sql` and the `.down.sql` beside each.
fn read_files() -> Result<BTreeMap<i64, Files>> {
    let folder = crate::workspace().join("migrations");
    let mut files = BTreeMap::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = file.strip_suffix(".up.sql") else {
            continue;
        };
        let (version, name) = stem
            .split_once('_')
            .and_then(|(number, name)| Some((number.parse().ok()?, name.replace('_', " "))))
            .with_context(|| format!("{} must be named <number>_<name>.up.sql", path.display()))?;
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let down = read(folder.join(format!("{stem}.down.sql")))?;
        let step = Files {
            name,
            up: read(path.clone())?,
            down,
        };
        if files.insert(version, step).is_some() {
            bail!(
                "two steps in {} have the number {version}",
                folder.display()
            );
        }
    }
    Ok(files)
}
