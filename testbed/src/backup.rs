//! Backups of the database and their restoration, with `pg_dump`, `pg_restore` and `psql`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_postgres::SimpleQueryMessage;

use crate::{apt, database, postgres};

mod contents;

pub use contents::Contents;

/// The result of a restoration.
#[derive(Debug)]
pub struct Restored {
    /// The contents of the restored database.
    pub contents: Contents,
    /// Differences from the backed-up contents, and contradictions in the restored ones.
    pub differences: Vec<String>,
    /// True if a file beside the backup lists its contents. Without it, only contradictions are found.
    pub is_compared: bool,
}

/// Begins the transaction of a restoration. Everything that the role owns goes first, so that nothing of a newer
/// schema stays beside the restored one.
const DROP_EVERYTHING: &str = include_str!("backup/drop_everything.sql");

/// Writes a backup into `folder` with `deploy/backup.sh`, and returns its file.
///
/// # Errors
/// When the programs of Postgres are missing, or the database is unreachable.
pub async fn write(url: &str, folder: &Path, keep: usize) -> Result<PathBuf> {
    find_programs().await?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    // A file, because other users can see an argument. It is readable by its owner only.
    let url_file = tempfile::NamedTempFile::new()?;
    std::fs::write(url_file.path(), url)?;
    let output = Command::new(crate::workspace().join("deploy/backup.sh"))
        .arg(url_file.path())
        .arg(folder)
        .arg(keep.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start deploy/backup.sh")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let written = printed.lines().find_map(|line| {
        let (file, _) = line.strip_prefix("wrote ")?.rsplit_once(" (")?;
        Some(PathBuf::from(file))
    });
    match written {
        Some(file) if output.status.success() => Ok(file),
        _ => bail!(
            "deploy/backup.sh failed ({}):\n{printed}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// Returns the newest backup in a folder.
///
/// # Errors
/// When there is none.
pub fn newest(folder: &Path) -> Result<PathBuf> {
    let files =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut dumps = Vec::new();
    for file in files {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "dump")
        {
            dumps.push(path);
        }
    }
    // The names end with the time.
    let newest = dumps.into_iter().max();
    newest.with_context(|| format!("{} has no .dump file", folder.display()))
}

/// Restores a backup into a temporary Postgres beside the database.
///
/// # Errors
/// When the file is damaged, or Postgres is missing.
pub async fn check(file: &Path) -> Result<Restored> {
    find_programs().await?;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let server = postgres::Server::start_throw_away(&folder.path().join("postgres")).await?;
    let url = server.create_database("restored").await?;
    let checked = restore_and_compare(&url, file).await;
    server.stop().await;
    checked
}

/// Restores a backup into a database, in one transaction.
///
/// # Errors
/// When the database is not empty and `replace` is not set, the file is damaged, or a statement fails; the database
/// is then as it was.
pub async fn restore(url: &str, file: &Path, replace: bool) -> Result<Restored> {
    find_programs().await?;
    let rows = contents(url).await?.rows();
    ensure!(
        replace || rows == 0,
        "the database has {rows} rows: stop the service and repeat the command with --replace to replace all of them, or name an empty database"
    );
    restore_and_compare(url, file).await
}

async fn restore_and_compare(url: &str, file: &Path) -> Result<Restored> {
    let backup = Contents::beside(file)?;
    run_restore(url, file).await?;
    let contents = contents(url).await?;
    Ok(Restored {
        differences: match &backup {
            Some(backup) => contents.differences(backup),
            None => contents.contradictions(),
        },
        is_compared: backup.is_some(),
        contents,
    })
}

/// Counts what a database holds.
///
/// # Errors
/// When it is unreachable.
pub async fn contents(url: &str) -> Result<Contents> {
    let path = crate::workspace().join("deploy/postgres/contents.sql");
    let statements = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let database = database::connect(url).await?;
    let messages = database.simple_query(&statements).await;
    let messages = messages.context("the contents of the database cannot be counted")?;
    let lines = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Contents::parse(lines)
}

/// Copies the statements of `pg_restore` to `psql`, between the beginning and the end of a transaction. Postgres keeps
/// nothing of a transaction without its end, which is only sent after a complete script.
async fn run_restore(url: &str, file: &Path) -> Result<()> {
    let mut command = Command::new("pg_restore");
    command.args(["--no-owner", "--file=-"]).arg(file);
    if !has_role(url).await? {
        command.arg("--no-privileges");
    }
    let mut pg_restore = start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut command = Command::new("psql");
    command
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
        .envs(database::libpq_environment(url)?);
    let mut psql = start(command.stdin(Stdio::piped()).stdout(Stdio::null()))?;

    let mut script = pg_restore
        .stdout
        .take()
        .context("pg_restore has no output")?;
    let mut input = psql.stdin.take().context("psql has no input")?;
    let [script_errors, errors] = [&mut pg_restore, &mut psql].map(read_errors);
    let fed = async {
        input.write_all(DROP_EVERYTHING.as_bytes()).await?;
        tokio::io::copy(&mut script, &mut input).await?;
        let is_complete = pg_restore.wait().await?.success();
        if is_complete {
            input.write_all(b"\ncommit;\n").await?;
        }
        drop(input);
        std::io::Result::Ok(is_complete)
    };
    // An error means that psql has ended, and says why itself.
    let fed = fed.await;
    drop(pg_restore);
    let is_done = psql.wait().await?.success();
    ensure!(
        !matches!(fed, Ok(false)),
        "{} cannot be read, and nothing was changed:\n{}",
        file.display(),
        script_errors.await?
    );
    ensure!(
        is_done && fed.is_ok(),
        "the restoration failed, and nothing was changed:\n{}",
        errors.await?
    );
    Ok(())
}

/// Returns whether the server has the roles of deploy/postgres/role.sql, to which a backup grants its rights.
async fn has_role(url: &str) -> Result<bool> {
    let statement = "select to_regrole('thought_diary') is not null";
    let row = database::connect(url)
        .await?
        .query_one(statement, &[])
        .await?;
    Ok(row.get(0))
}

fn start(command: &mut Command) -> Result<Child> {
    let program = command.as_std().get_program().to_owned();
    command
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Reads what a program writes about errors. Other lines might quote a row.
fn read_errors(child: &mut Child) -> JoinHandle<String> {
    let stderr = child.stderr.take();
    tokio::spawn(async move {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut text).await;
        }
        let text = String::from_utf8_lossy(&text);
        let errors = text
            .lines()
            .filter(|line| line.contains("error:") || line.contains("ERROR:"));
        errors.collect::<Vec<_>>().join("\n")
    })
}

/// Installs the programs where they are missing and this process may do so.
async fn find_programs() -> Result<()> {
    let find = || match which::which("pg_restore").and(which::which("psql")) {
        Ok(_) => Ok(()),
        Err(_) => apt::install(&["postgresql-client"], "pg_dump, pg_restore and psql"),
    };
    tokio::task::spawn_blocking(find).await?
}
