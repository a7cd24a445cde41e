//! Point-in-time recovery: a table is dropped, and the database goes back to the second before, with the files of
//! deploy/postgres and a real pgBackRest.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::backup::Contents;
use testbed::postgres::Server;
use testbed::progress::Progress;
use testbed::{backup, database, migrate, seed};

use super::report::{Summary, output, output_of};

const STANZA: &str = "--stanza=thought-diary";

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    let name = "recovery: a dropped table, back to the second before, from the near and the far repository";
    if !summary.has_programs(name, &["pgbackrest"]) {
        return Ok(());
    }
    if output("id", &["-u"])?.trim() != "0" {
        summary.skip(name, "run it as root");
        return Ok(());
    }
    let step = progress.step("Testing the recovery");
    step.announce();
    let tested = test().await;
    step.done();
    summary.add(
        name,
        tested.map(|took| println!("     recovered in {took:.1?}")),
    );
    Ok(())
}

async fn test() -> Result<Duration> {
    let cluster = Cluster::start().await?;
    let url = cluster.server.create_database("thought_diary").await?;
    migrate::up(&url).await?;
    seed::add(&url).await?;
    for repository in ["--repo=1", "--repo=2"] {
        cluster.pgbackrest(&[repository, "--type=full", "backup"])?;
    }
    // pgBackRest compares whole seconds, and takes a backup that ended in a second before that of the target.
    tokio::time::sleep(Duration::from_secs(1)).await;

    // After the backup, so that it is only in the changes that were archived.
    let database = database::connect(&url).await?;
    let latest =
        "insert into users (email, password_hash) values ('latest@thought-diary.example', 'x')";
    database.batch_execute(latest).await?;
    let expected = backup::contents(&url).await?;
    // pgBackRest compares whole seconds: the backups must have ended in an earlier one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now =
        "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'";
    let moment: String = database.query_one(now, &[]).await?.get(0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let accident = "drop table thought_diaries cascade; select pg_switch_wal()";
    database.batch_execute(accident).await?;
    drop(database);

    let began = Instant::now();
    cluster.recover(&["--repo=1"], &moment).await?;
    let took = began.elapsed();
    compare(&url, &expected).await?;

    // The machine is lost with its near repository. Moved, because changes may be arriving in it at that moment.
    let folder = cluster.folder.path();
    fs::rename(folder.join("repo1"), folder.join("lost"))?;
    // The first recovery has begun a new timeline, in which nothing has been written since.
    cluster
        .recover(&["--repo=2", "--target-timeline=1"], &moment)
        .await?;
    compare(&url, &expected).await?;
    cluster.check_encryption(&cluster.folder.path().join("repo2"))?;
    cluster.server.stop().await;
    Ok(took)
}

async fn compare(url: &str, expected: &Contents) -> Result<()> {
    let differences = backup::contents(url).await?.differences(expected);
    ensure!(
        differences.is_empty(),
        "the recovered database differs: {}",
        differences.join(", ")
    );
    Ok(())
}

/// A Postgres that archives into two repositories, with the configuration of deploy/postgres.
struct Cluster {
    server: Server,
    folder: TempDir,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        // Postgres and pgBackRest run as another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        // pgBackRest connects through a socket.
        let socket = format!(
            "unix_socket_directories={}",
            folder.path().join("socket").display()
        );
        create(&folder.path().join("socket"))?;
        let server = Server::start_configured(&folder.path().join("postgres"), &[socket]).await?;
        let cluster = Self { server, folder };
        cluster.configure()?;
        cluster.server.restart().await?;
        cluster.pgbackrest(&["stanza-create"])?;
        cluster.pgbackrest(&["check"])?;
        Ok(cluster)
    }

    /// Writes the files as docs/backup.md says, with the paths and the port of this cluster, and with a folder instead
    /// of the bucket.
    fn configure(&self) -> Result<()> {
        let folder = self.folder.path();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        for name in ["repo1", "repo2", "spool", "lock"] {
            create(&folder.join(name))?;
        }
        let file = read("deploy/postgres/pgbackrest.conf")?
            // Compressed text could not be searched for.
            .replace("compress-type=zst", "compress-type=none")
            .replace("/var/lib/pgbackrest", &text(&folder.join("repo1")))
            .replace("/var/spool/pgbackrest", &text(&folder.join("spool")))
            .replace(
                "/var/lib/postgresql/17/main",
                &text(&folder.join("postgres/data")),
            );
        let kept = |line: &&str| !line.starts_with("repo2-s3") && !line.starts_with("repo2-type");
        let mut lines: Vec<&str> = file.lines().filter(kept).collect();
        let repository = format!("repo2-path={}", text(&folder.join("repo2")));
        let lock = format!("lock-path={}", text(&folder.join("lock")));
        for line in &mut lines {
            if line.starts_with("repo2-path=") {
                *line = &repository;
            }
        }
        let at = lines.iter().position(|line| *line == "[thought-diary]");
        let at = at.context("pgbackrest.conf has no stanza")?;
        lines.insert(at, &lock);
        let port = format!("pg1-port={}", self.server.address().port());
        let socket = format!("pg1-socket-path={}", text(&folder.join("socket")));
        lines.extend([&*port, &*socket, "pg1-user=diary"]);
        fs::write(self.configuration(), lines.join("\n") + "\n")?;
        fs::create_dir(folder.join("conf.d"))?;
        let secrets =
            "[global]\nrepo1-cipher-pass=near-passphrase\nrepo2-cipher-pass=far-passphrase\n";
        fs::write(folder.join("conf.d/secrets.conf"), secrets)?;

        let archive = read("deploy/postgres/archive.conf")?.replace(
            "pgbackrest ",
            &format!("pgbackrest {} ", self.options().join(" ")),
        );
        let settings = folder.join("postgres/data/postgresql.conf");
        let usual = fs::read_to_string(&settings)?;
        fs::write(settings, format!("{usual}\n{archive}"))?;
        Ok(())
    }

    fn configuration(&self) -> std::path::PathBuf {
        self.folder.path().join("pgbackrest.conf")
    }

    fn options(&self) -> [String; 2] {
        [
            format!("--config={}", self.configuration().display()),
            format!(
                "--config-include-path={}/conf.d",
                self.folder.path().display()
            ),
        ]
    }

    fn pgbackrest(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "pgbackrest", STANZA]);
        // The private Postgres asks for a password on its socket, too.
        command.envs(database::libpq_environment(&self.server.url("postgres"))?);
        output_of(command.args(self.options()).args(arguments))
    }

    async fn recover(&self, options: &[&str], moment: &str) -> Result<()> {
        self.server.stop().await;
        let target = format!("--target={moment}");
        let restore = [
            "--delta",
            "--type=time",
            &target,
            "--target-action=promote",
            "restore",
        ];
        self.pgbackrest(&[options, &restore].concat())?;
        self.server.restart().await?;
        // Reads are answered before the recovery has ended.
        let database = database::connect(&self.server.url("postgres")).await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while database
            .query_one("select pg_is_in_recovery()", &[])
            .await?
            .get(0)
        {
            ensure!(Instant::now() < deadline, "the recovery does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Checks that a repository holds no text of the sample data.
    fn check_encryption(&self, repository: &Path) -> Result<()> {
        let found = Command::new("grep")
            .args([
                "--recursive",
                "--text",
                "--files-with-matches",
                "thought-diary.example",
            ])
            .arg(repository)
            .output()?;
        // grep exits with 1 if it has read everything and found nothing.
        ensure!(
            found.status.code() == Some(1),
            "readable text in {}",
            String::from_utf8_lossy(&found.stdout)
        );
        Ok(())
    }
}

/// Creates a folder of the user that Postgres and pgBackRest run as.
fn create(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    output("chown", &["postgres:", &folder.to_string_lossy()]).map(drop)
}

fn read(path: &str) -> Result<String> {
    let path = testbed::workspace().join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
