//! Old, new and old instances behind nginx, replaced as docs/operations.md says while clients write.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::api::Call;
use testbed::environment::Environment;
use testbed::progress::Progress;
use testbed::runtime::{App, Kind, Options};
use testbed::{database, migrate};
use tokio::task::spawn_blocking;

use super::load::Load;
use super::nginx::{Ports, Site, free_port};
use super::report::{Summary, output, output_of};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long clients write between two changes.
const PHASE: Duration = Duration::from_secs(3);

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    for kind in [Kind::Embedded, Kind::Spin] {
        let name =
            format!("upgrade on {kind}: old, new and old instances, replaced while clients write");
        if !summary.has_programs(&name, &["git", "nginx", "openssl", "tar"]) {
            continue;
        }
        if kind == Kind::Spin && Kind::detect() != Kind::Spin {
            summary.skip(&name, "put Spin 4.1 or newer on the PATH");
            continue;
        }
        let Some(revision) = old_revision()? else {
            summary.skip(
                &name,
                "fetch the history: the version before the newest migration is not in it",
            );
            continue;
        };
        let step = progress.step("Building the components before the newest migration");
        step.announce();
        let result = match spawn_blocking(move || check_out(&revision)).await? {
            Ok(old) => {
                step.done();
                upgrade(kind, &old).await
            }
            Err(error) => Err(error),
        };
        summary.add(&name, result);
    }
    Ok(())
}

/// Returns the last commit without the newest migration, if the history has it.
fn old_revision() -> Result<Option<String>> {
    let folder = testbed::workspace().join("migrations");
    let newest = newest_migration(&folder)?;
    let path = format!("migrations/{newest}");
    // A merge may have added it.
    let log = "log -1 --first-parent --diff-merges=first-parent --diff-filter=A --no-patch --format=%H --";
    let mut log: Vec<&str> = log.split(' ').collect();
    log.push(&path);
    let added = output("git", &log)?;
    let revision = match added.trim() {
        "" => "HEAD".to_owned(),
        commit => format!("{commit}^"),
    };
    let found = output("git", &["rev-parse", "--verify", "--quiet", &revision]);
    Ok(found.ok().map(|hash| hash.trim().to_owned()))
}

fn newest_migration(folder: &Path) -> Result<String> {
    let names = up_files(folder)?;
    names.last().cloned().context("there is no migration")
}

/// Returns the names of the files that migrate up, in order.
fn up_files(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    let names = entries
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".up.sql")).collect())
}

/// Returns a folder with a commit's files and built components.
fn check_out(revision: &str) -> Result<PathBuf> {
    let folder = testbed::workspace().join("target/test-deploy/old");
    let (archive, marker) = (folder.join("archive.tar"), folder.join("revision"));
    if fs::read_to_string(&marker).ok().as_deref() != Some(revision) {
        // What was built is kept, because most of it is the same.
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => fs::remove_dir_all(path)?,
                false => fs::remove_file(path)?,
            }
        }
        let mut git = Command::new("git");
        git.args(["archive", revision, "--output"]).arg(&archive);
        output_of(&mut git)?;
        let mut tar = Command::new("tar");
        // Cargo compares times: those in the archive are older than an earlier build.
        tar.args(["--extract", "--touch", "--file"]).arg(&archive);
        output_of(tar.arg("--directory").arg(&folder))?;
        fs::write(marker, revision)?;
    }
    // The parts of Debian's toolchain for wasm, where it is in use.
    let (prepared, link) = ("target/debian-wasm", folder.join("target/debian-wasm"));
    let prepared = testbed::workspace().join(prepared);
    if prepared.exists() && !link.exists() {
        fs::create_dir_all(folder.join("target"))?;
        symlink(prepared, link)?;
    }
    let mut build = Command::new(std::env::current_exe()?);
    output_of(build.arg("build").env("THOUGHT_DIARY_HOME", &folder))?;
    Ok(folder)
}

/// What the instances share.
struct Deployment {
    environment: Environment,
    kind: Kind,
    site: Site,
    ports: Ports,
}

async fn upgrade(kind: Kind, old: &Path) -> Result<()> {
    let new = testbed::workspace();
    let steps = up_files(&new.join("migrations"))?.len() - up_files(&old.join("migrations"))?.len();
    ensure!(steps > 0, "the old version has the newest migration");
    let environment = Environment::start().await?;
    migrate::down(&environment.database_url, Some(steps)).await?;
    let ports = Ports {
        http: free_port()?,
        https: free_port()?,
        instances: [free_port()?, free_port()?],
    };
    let deployment = Deployment {
        site: Site::new(&ports)?,
        environment,
        kind,
        ports,
    };
    let mut instances = Vec::new();
    for port in deployment.ports.instances {
        instances.push(deployment.start(old, port).await?);
    }
    let nginx = deployment.site.start()?;
    let load = Load::start(deployment.ports.https, instances[0].url()).await?;
    tokio::time::sleep(PHASE).await;

    // A new instance gets no requests before the migration: the balancer asks /ready.
    let early = App::start(kind, deployment.options(new, 0)?).await?;
    let readiness = readiness(early.url()).await;
    early.stop().await;
    ensure!(
        readiness.contains("503") && readiness.contains("\"migrate\""),
        "a new instance on the old schema answers {readiness}"
    );
    migrate::up(&deployment.environment.database_url).await?;
    for instance in &instances {
        wait_until_ready(instance.url()).await?;
    }
    tokio::time::sleep(PHASE).await;
    deployment.replace(&mut instances, new).await?;
    tokio::time::sleep(PHASE).await;
    // A rollback keeps the schema.
    deployment.replace(&mut instances, old).await?;
    tokio::time::sleep(PHASE).await;

    let written = load.stop().await?;
    let stored = stored_entries(&deployment.environment.database_url).await?;
    drop(nginx);
    for instance in &instances {
        instance.stop().await;
    }
    deployment.environment.stop().await;
    ensure!(
        written.failures.is_empty(),
        "{} of {} requests failed, the first with {}",
        written.failures.len(),
        written.failures.len() + written.acknowledged.len(),
        written.failures[0]
    );
    ensure!(
        written.acknowledged == stored && !stored.is_empty(),
        "{} entries were acknowledged, and {} are stored",
        written.acknowledged.len(),
        stored.len()
    );
    println!(
        "     {} entries written, 0 failed, all stored",
        stored.len()
    );
    Ok(())
}

impl Deployment {
    fn options(&self, root: &Path, port: u16) -> Result<Options> {
        let settings = [("trusted_proxy_hops", "1")];
        Ok(Options {
            manifest: root.join("spin.toml"),
            listen: ([127, 0, 0, 1], port).into(),
            ..self.environment.service(&settings)?
        })
    }

    async fn start(&self, root: &Path, port: u16) -> Result<App> {
        let app = App::start(self.kind, self.options(root, port)?).await?;
        wait_until_ready(app.url()).await?;
        Ok(app)
    }

    /// Replaces one instance after the other by those of another version.
    async fn replace(&self, instances: &mut [App], root: &Path) -> Result<()> {
        for (instance, port) in instances.iter_mut().zip(self.ports.instances) {
            let flag = self.site.drain_flag(port);
            fs::write(&flag, "")?;
            // The embedded host answers the requests in progress after SIGTERM. Spin gives them up, so they have to
            // end before: this load's requests take less than two seconds, production waits for 35.
            tokio::time::sleep(match self.kind {
                Kind::Embedded => Duration::from_millis(200),
                Kind::Spin => Duration::from_secs(3),
            })
            .await;
            instance.stop().await;
            *instance = self.start(root, port).await?;
            fs::remove_file(&flag)?;
        }
        Ok(())
    }
}

/// Returns the body of `/ready`, or the error, which contains the status and the body of a failure.
async fn readiness(url: &str) -> String {
    match Call::get("/ready").send(url).await {
        Ok(body) => body.to_string(),
        Err(error) => format!("{error:#}"),
    }
}

async fn wait_until_ready(url: &str) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let readiness = readiness(url).await;
        if readiness.contains("\"ready\"") {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{url} is not ready: {readiness}");
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn stored_entries(url: &str) -> Result<BTreeSet<i64>> {
    let database = database::connect(url).await?;
    let rows = database
        .query("select id::bigint from thought_diaries", &[])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
