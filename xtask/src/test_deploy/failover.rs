//! Failover: the primary is killed while clients write, its replica is promoted, and HAProxy keeps the address, with
//! the files of deploy/postgres.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::api::User;
use testbed::environment::Environment;
use testbed::postgres::Server;
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};
use testbed::server::free_address;
use testbed::{database, migrate};
use tokio::task::JoinSet;

use super::report::{Summary, output, output_of};

/// Clients that write at once.
const CLIENTS: usize = 8;
/// Time for which they write before the primary is killed, and after the first success of the replica.
const STEADY: Duration = Duration::from_secs(3);
/// Time in which an operator, or a program, notices that the primary is gone.
const DETECTION: Duration = Duration::from_secs(1);
/// Time after which the service must store entries again.
const LIMIT: Duration = Duration::from_secs(30);

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    let name =
        "failover: the primary is killed, the replica is promoted, nothing acknowledged is lost";
    if !summary.has_programs(name, &["haproxy", "pg_basebackup", "psql"]) {
        return Ok(());
    }
    if output("id", &["-u"])?.trim() != "0" {
        summary.skip(name, "run it as root");
        return Ok(());
    }
    let step = progress.step("Testing the failover");
    step.announce();
    let tested = test().await;
    step.done();
    summary.add(name, tested.map(|outcome| println!("     {outcome}")));
    Ok(())
}

async fn test() -> Result<String> {
    let environment = Environment::start().await?;
    let pair = Pair::start().await?;
    let url = pair.primary.url("thought_diary");
    let through_proxy = url.replace(
        &pair.primary.address().to_string(),
        &pair.address.to_string(),
    );
    let settings = [
        ("database_url", &*through_proxy),
        ("database_host", &*pair.address.to_string()),
    ];
    let service = App::start(Kind::Embedded, environment.service(&settings)?).await?;
    let user = User::register(service.url(), "failover@thought-diary.example", "Passw0rd!").await?;

    let writers = Writers::start(service.url(), user);
    tokio::time::sleep(STEADY).await;
    let killed = Instant::now();
    pair.primary.kill();
    tokio::time::sleep(DETECTION).await;
    let replica = database::connect(&pair.replica.url("thought_diary")).await?;
    replica.batch_execute("select pg_promote()").await?;
    while writers.latest_success.elapsed_since(killed).is_none() {
        ensure!(
            killed.elapsed() < LIMIT,
            "nothing was stored {LIMIT:?} after the primary was killed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let outage = killed.elapsed();
    tokio::time::sleep(STEADY).await;
    let (acknowledged, failures) = writers.stop().await?;
    let rows = replica
        .query("select content from thought_diaries", &[])
        .await?;
    let stored: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let distinct: BTreeSet<&String> = stored.iter().collect();
    let lost = acknowledged
        .iter()
        .filter(|content| !distinct.contains(content))
        .count();
    service.stop().await;
    environment.stop().await;
    ensure!(
        lost == 0,
        "{lost} of {} acknowledged entries are lost",
        acknowledged.len()
    );
    ensure!(distinct.len() == stored.len(), "entries are stored twice");
    Ok(format!(
        "{} entries acknowledged, all stored; writable {outage:.1?} after the kill, of which {DETECTION:?} passed before the promotion; failures: {failures:?}",
        acknowledged.len()
    ))
}

/// A primary, its synchronous replica, and HAProxy in front of both.
struct Pair {
    primary: Server,
    replica: Server,
    /// Where HAProxy listens.
    address: SocketAddr,
    _haproxy: ChildProcess,
    _folder: TempDir,
}

impl Pair {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        // Postgres runs as another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let [first, second] = ["primary", "replica"].map(|name| folder.path().join(name));
        let primary = Server::start(&first).await?;
        let url = primary.create_database("thought_diary").await?;
        migrate::up(&url).await?;
        copy(&url, &second)?;
        fs::copy(first.join("password"), second.join("password"))?;
        let replica = Server::start(&second).await?;
        let database = database::connect(&url).await?;
        // From here on, a write is acknowledged when both have it.
        database
            .batch_execute("alter system set synchronous_standby_names = '*'")
            .await?;
        database.batch_execute("select pg_reload_conf()").await?;
        let synchronous =
            "select exists (select from pg_stat_replication where sync_state = 'sync')";
        let begun = Instant::now();
        while !database
            .query_one(synchronous, &[])
            .await?
            .get::<_, bool>(0)
        {
            ensure!(
                begun.elapsed() < LIMIT,
                "the replica does not become synchronous"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        database
            .batch_execute("create role health login password 'health'")
            .await?;
        let address = free_address()?;
        let haproxy = start_haproxy(
            folder.path(),
            address,
            [primary.address(), replica.address()],
        )?;
        let through_proxy = url.replace(&primary.address().to_string(), &address.to_string());
        database::connect_to_starting(&through_proxy).await?;
        Ok(Self {
            primary,
            replica,
            address,
            _haproxy: haproxy,
            _folder: folder,
        })
    }
}

/// Copies a running primary into the data of a replica, which then follows it.
fn copy(url: &str, replica: &Path) -> Result<()> {
    fs::create_dir(replica)?;
    output("chown", &["postgres:", &replica.to_string_lossy()])?;
    let mut command = Command::new("runuser");
    command
        .args([
            "-u",
            "postgres",
            "--",
            "pg_basebackup",
            "--write-recovery-conf",
            "--checkpoint=fast",
        ])
        .arg("--pgdata")
        .arg(replica.join("data"))
        .envs(database::libpq_environment(url)?);
    output_of(&mut command).map(drop)
}

fn start_haproxy(
    folder: &Path,
    address: SocketAddr,
    servers: [SocketAddr; 2],
) -> Result<ChildProcess> {
    let read = |name: &str| {
        let path = testbed::workspace().join("deploy/postgres").join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let [check, pgpass, configuration] =
        ["check", "pgpass", "haproxy.cfg"].map(|name| folder.join(name));
    fs::write(&pgpass, "*:*:postgres:health:health\n")?;
    fs::set_permissions(&pgpass, Permissions::from_mode(0o600))?;
    let script = read("postgres-is-primary.sh")?;
    fs::write(
        &check,
        script.replace("/etc/haproxy/pgpass", &pgpass.to_string_lossy()),
    )?;
    fs::set_permissions(&check, Permissions::from_mode(0o755))?;
    let text = read("haproxy.cfg")?
        .replace("127.0.0.1:5000", &address.to_string())
        .replace("10.0.0.11:5432", &servers[0].to_string())
        .replace("10.0.0.12:5432", &servers[1].to_string())
        .replace(
            "/etc/haproxy/postgres-is-primary.sh",
            &check.to_string_lossy(),
        );
    fs::write(&configuration, text)?;
    let mut command = Command::new("haproxy");
    command
        .arg("-f")
        .arg(&configuration)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ChildProcess::start(command, Signal::SIGTERM)
}

/// When an entry was stored last, over all writers.
#[derive(Default)]
struct LatestSuccess(std::sync::Mutex<Option<Instant>>);

impl LatestSuccess {
    fn set(&self) {
        if let Ok(mut latest) = self.0.lock() {
            *latest = Some(Instant::now());
        }
    }

    /// Returns the time from an event to the latest success, if that is later. A request that was sent before the
    /// event may be answered a moment after it.
    fn elapsed_since(&self, event: Instant) -> Option<Duration> {
        let latest = self.0.lock().ok().and_then(|latest| *latest)?;
        let after = latest.checked_duration_since(event)?;
        (after > DETECTION).then_some(after)
    }
}

/// Clients that store entries without a pause.
struct Writers {
    tasks: JoinSet<(Vec<String>, BTreeMap<String, usize>)>,
    is_stopped: Arc<AtomicBool>,
    latest_success: Arc<LatestSuccess>,
}

impl Writers {
    fn start(url: &str, user: User) -> Self {
        let (is_stopped, latest_success) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(LatestSuccess::default()),
        );
        let mut tasks = JoinSet::new();
        let user = Arc::new(user);
        for writer in 0..CLIENTS {
            let (url, user) = (url.to_owned(), Arc::clone(&user));
            let (is_stopped, latest_success) =
                (Arc::clone(&is_stopped), Arc::clone(&latest_success));
            tasks.spawn(async move {
                let (mut acknowledged, mut failures) = (Vec::new(), BTreeMap::new());
                for number in 0.. {
                    if is_stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let content = format!("Entry {number} of the writer {writer}.");
                    match user.create_diary(&content).send(&url).await {
                        Ok(_) => {
                            latest_success.set();
                            acknowledged.push(content);
                        }
                        Err(error) => {
                            *failures.entry(failure(&format!("{error:#}"))).or_insert(0) += 1;
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
                (acknowledged, failures)
            });
        }
        Self {
            tasks,
            is_stopped,
            latest_success,
        }
    }

    /// Stops them. Returns the acknowledged entries, and the number of failures by status.
    async fn stop(self) -> Result<(Vec<String>, BTreeMap<String, usize>)> {
        self.is_stopped.store(true, Ordering::Relaxed);
        let (mut acknowledged, mut failures) = (Vec::new(), BTreeMap::new());
        for (stored, failed) in self.tasks.join_all().await {
            acknowledged.extend(stored);
            for (failure, count) in failed {
                *failures.entry(failure).or_insert(0) += count;
            }
        }
        Ok((acknowledged, failures))
    }
}

/// Returns the status in the message of a failed call.
fn failure(message: &str) -> String {
    let status = message
        .split_once("the response is ")
        .and_then(|(_, rest)| rest.get(..3));
    status.unwrap_or("no response").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_status_from_a_failure() {
        let refused = "POST /diaries failed: the response is 503 Service Unavailable: {}";
        assert_eq!(failure(refused), "503");
        assert_eq!(
            failure("POST /diaries failed: connection closed"),
            "no response"
        );
    }
}
