//! The Compose deployment in Docker, in a project of its own.

mod clients;

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::cargo;
use testbed::progress::{Progress, Step};
use testbed::settings::{TEST_JWT_KEY, TEST_MODEL_TOKEN, TEST_SWEEP_TOKEN};
use tokio::task::spawn_blocking;

use super::nginx::free_port;
use super::report::{Summary, output, output_of};

/// The image's base and the other services'.
const IMAGES: [&str; 4] = ["debian:trixie-slim", "postgres:17", "redis:8", "caddy:2"];
const PROJECT: &str = "thought-diary-test";
/// What the newer version runs on, where this image can be had. The older one runs on the embedded host.
const SPIN_IMAGE: &str = "ghcr.io/spinframework/spin:v4.1.0";
/// The versions between which the deployment is upgraded and rolled back.
const OLD: &str = "thought-diary-server:test-old";
const NEW: &str = "thought-diary-server:test-new";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub async fn run(summary: &mut Summary, progress: &Progress) -> Result<()> {
    let name = "compose: up, the end-to-end tests through the proxy, kill, backup, rollback";
    if !summary.has_programs(name, &["curl", "docker", "openssl", "strip", "tar"]) {
        return Ok(());
    }
    for (call, advice) in [
        ("info", "start Docker"),
        ("compose version", "install Docker Compose 2.24 or newer"),
        ("buildx version", "install Docker Buildx"),
    ] {
        if docker(call).is_err() {
            summary.skip(name, advice);
            return Ok(());
        }
    }
    let is_available = |image: &str| {
        let calls = [
            format!("image inspect {image}"),
            format!("pull --quiet {image}"),
        ];
        calls.iter().any(|call| docker(call).is_ok())
    };
    if let Some(image) = IMAGES.into_iter().find(|image| !is_available(image)) {
        summary.skip(name, &format!("the image {image} can't be pulled"));
        return Ok(());
    }
    let runtime = if is_available(SPIN_IMAGE) {
        "spin"
    } else {
        "embedded"
    };
    let host = cargo::host(progress).await?;
    let step = progress.step("Testing the Compose deployment");
    step.announce();
    let result = spawn_blocking(move || test(&host, runtime, &step)).await?;
    summary.add(name, result);
    Ok(())
}

/// Calls docker with arguments that contain no blanks.
fn docker(arguments: &str) -> Result<String> {
    output("docker", &arguments.split(' ').collect::<Vec<_>>())
}

fn test(host: &Path, runtime: &str, step: &Step) -> Result<()> {
    let deployment = Deployment::new()?;
    step.message("building the image");
    deployment.build_images(host, runtime)?;
    step.message("starting");
    deployment.use_image(OLD)?;
    deployment.compose("up --detach --wait")?;
    step.message("upgrading");
    deployment.use_image(NEW)?;
    deployment.compose("up --detach --wait")?;
    ensure!(
        deployment.image()? == NEW,
        "the upgrade did not replace the app"
    );
    deployment.check_hardening()?;

    step.message("running the end-to-end tests through the proxy");
    deployment.check_proxy()?;
    deployment.run_end_to_end_tests(runtime)?;

    step.message("killing the app");
    // All but the container's first process, which ends with its child.
    let _ = deployment.execute("app", "kill -9 -1");
    deployment.compose("up --detach --wait")?;

    step.message("restoring a backup");
    deployment.restore_backup()?;

    step.message("rolling back");
    let entries = deployment.count_entries("thought_diary")?;
    deployment.use_image(OLD)?;
    deployment.compose("up --detach --wait --no-deps app")?;
    ensure!(
        deployment.image()? == OLD,
        "the rollback did not replace the app"
    );
    ensure!(
        deployment.count_entries("thought_diary")? == entries,
        "the rollback changed the entries"
    );
    Ok(())
}

/// A copy of deploy/ with secrets of its own. Containers, volumes and images are removed when it is dropped.
struct Deployment {
    folder: TempDir,
    port: u16,
    /// Where the end-to-end tests serve the model.
    model: Option<SocketAddr>,
}

impl Deployment {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let deploy = testbed::workspace().join("deploy");
        for name in ["compose", "proxy", "postgres", "backup.sh"] {
            let mut copy = Command::new("cp");
            copy.arg("--recursive")
                .arg(deploy.join(name))
                .arg(folder.path());
            output_of(&mut copy)?;
        }
        let deployment = Self {
            folder,
            port: free_port()?,
            model: free_address_for_containers(),
        };
        let secrets = deployment.path("compose/secrets");
        let _ = fs::remove_dir_all(&secrets);
        fs::create_dir(&secrets)?;
        fs::write(secrets.join("jwt_secret_key"), TEST_JWT_KEY)?;
        fs::write(secrets.join("sweep_token"), TEST_SWEEP_TOKEN)?;
        if deployment.model.is_some() {
            fs::write(secrets.join("github_token"), TEST_MODEL_TOKEN)?;
        }
        output_of(&mut Command::new(deployment.path("compose/init.sh")))?;
        fs::write(
            deployment.path("compose/test.yaml"),
            deployment.test_settings(),
        )?;
        Ok(deployment)
    }

    /// Returns what the tests change in the deployment.
    fn test_settings(&self) -> String {
        // The proxy passes on the same client address for all tests, so the limits per address are off.
        let mut settings = vec![
            ("REGISTER_LIMIT", "off".to_owned()),
            ("LOGIN_LIMIT", "off".to_owned()),
            ("WRITE_LIMIT", "100000/1m".to_owned()),
            ("MODEL_LIMIT", "100000/1d".to_owned()),
        ];
        if let Some(address) = self.model {
            settings.push(("GITHUB_MODELS_HOST", format!("http://{address}")));
            settings.push(("GITHUB_TIMEOUT_MS", "1500".to_owned()));
        }
        let settings: String = settings
            .iter()
            .map(|(name, value)| format!("      SPIN_VARIABLE_{name}: \"{value}\"\n"))
            .collect();
        let port = self.port;
        format!(
            "services:\n  app:\n    environment:\n{settings}  proxy:\n    ports: !override [\"127.0.0.1:{port}:443\"]\n"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Builds both versions from the programs of this build: compiling them once more would take long.
    fn build_images(&self, host: &Path, new_runtime: &str) -> Result<()> {
        let programs = self.path("programs");
        fs::create_dir(&programs)?;
        symlink(host, programs.join("host"))?;
        symlink(std::env::current_exe()?, programs.join("xtask"))?;
        let stage = self.path("build");
        let mut assemble = Command::new("deploy/assemble.sh");
        output_of(assemble.arg(stage.join("out")).arg(&programs))?;
        let certificates = stage.join(CERTIFICATES.trim_start_matches('/'));
        fs::create_dir_all(certificates.parent().context("it is in a folder")?)?;
        fs::copy(CERTIFICATES, certificates)
            .with_context(|| format!("cannot read {CERTIFICATES}: install ca-certificates"))?;
        for (tag, runtime) in [(OLD, "embedded"), (NEW, new_runtime)] {
            let mut build = Command::new("docker");
            build
                .args(["buildx", "build", "--quiet", "--load", "--tag", tag])
                .args(["--build-arg", &format!("RUNTIME={runtime}")])
                .args(["--file", "deploy/compose/Dockerfile", "--build-context"])
                .arg(format!("build={}", stage.display()))
                .arg(".");
            output_of(&mut build)?;
        }
        Ok(())
    }

    fn use_image(&self, image: &str) -> Result<()> {
        let example = fs::read_to_string(self.path("compose/.env.example"))?;
        let settings: String = example
            .lines()
            .map(|line| match line.starts_with("IMAGE=") {
                true => format!("IMAGE={image}\n"),
                false => format!("{line}\n"),
            })
            .collect();
        fs::write(self.path("compose/.env"), settings)?;
        Ok(())
    }

    /// Calls Compose with arguments that contain no blanks.
    fn compose(&self, arguments: &str) -> Result<String> {
        output_of(self.compose_command().args(arguments.split(' ')))
    }

    fn compose_command(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", PROJECT, "--project-directory"]);
        command.arg(self.path("compose"));
        for file in ["compose.yaml", "test.yaml"] {
            command.arg("--file").arg(self.path("compose").join(file));
        }
        command
    }

    /// Runs a script in the container of a service.
    fn execute(&self, service: &str, script: &str) -> Result<String> {
        let mut command = self.compose_command();
        command.args(["exec", "--no-TTY", service, "bash", "-euc", script]);
        output_of(&mut command)
    }

    fn inspect(&self, service: &str, format: &str) -> Result<String> {
        let container = self.compose(&format!("ps --quiet {service}"))?;
        let found = output("docker", &["inspect", "--format", format, container.trim()])?;
        Ok(found.trim().to_owned())
    }

    /// Returns the image that the app runs.
    fn image(&self) -> Result<String> {
        self.inspect("app", "{{.Config.Image}}")
    }

    fn secret(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.path("compose/secrets").join(name))?)
    }

    /// Checks that the app has no rights that it does not need, and that no secret can be read from its processes.
    fn check_hardening(&self) -> Result<()> {
        let rights = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}";
        let found = self.inspect("app", rights)?;
        let expected = "10001:10001 true [ALL] [no-new-privileges:true]";
        ensure!(
            found == expected,
            "the app has {found} instead of {expected}"
        );
        let written = self.execute("app", "touch /opt/thought-diary/file");
        ensure!(written.is_err(), "the root file system is writable");
        let shown = self.execute(
            "app",
            "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
        )?;
        ensure!(
            shown.contains("--variable"),
            "the command line was not read"
        );
        for name in ["database_url", "redis_url", "jwt_secret_key", "sweep_token"] {
            ensure!(
                !shown.contains(&self.secret(name)?),
                "{name} is in the environment or on a command line"
            );
        }
        Ok(())
    }

    fn count_entries(&self, database: &str) -> Result<String> {
        let count = "select count(*) from thought_diaries";
        self.execute(
            "postgres",
            &format!(
                "psql --username=postgres --no-align --tuples-only --command='{count}' {database}"
            ),
        )
    }

    fn restore_backup(&self) -> Result<()> {
        let folder = "/var/lib/postgresql/data";
        self.execute(
            "backup",
            &format!("/backup.sh /run/secrets/migrate_database_url {folder} 14"),
        )?;
        let dump = self.path("newest.dump");
        let newest = self.execute("backup", &format!("ls {folder}/*.dump | tail -n 1"))?;
        let mut copy = self.compose_command();
        copy.arg("cp")
            .arg(format!("backup:{}", newest.trim()))
            .arg(&dump);
        output_of(&mut copy)?;
        self.execute("postgres", "createdb --username=postgres restored")?;
        let mut restore = self.compose_command();
        restore.args([
            "exec",
            "--no-TTY",
            "postgres",
            "pg_restore",
            "--username=postgres",
        ]);
        restore.args(["--no-owner", "--exit-on-error", "--dbname=restored"]);
        let status = restore.stdin(fs::File::open(&dump)?).status()?;
        ensure!(status.success(), "pg_restore failed ({status})");
        let [stored, restored] = ["thought_diary", "restored"].map(|name| self.count_entries(name));
        let (stored, restored) = (stored?, restored?);
        ensure!(
            stored == restored && stored.trim() != "0",
            "{stored} entries are stored, and {restored} were restored"
        );
        Ok(())
    }
}

/// Returns a free address of this machine that containers can connect to, if there is one: on Linux, on Docker's bridge.
fn free_address_for_containers() -> Option<SocketAddr> {
    let gateway = "{{(index .IPAM.Config 0).Gateway}}";
    let inspect = ["network", "inspect", "--format", gateway, "bridge"];
    let gateway: IpAddr = output("docker", &inspect).ok()?.trim().parse().ok()?;
    TcpListener::bind((gateway, 0)).ok()?.local_addr().ok()
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let _ = self.compose("down --volumes --timeout 5");
        let _ = docker(&format!("image rm {OLD} {NEW}"));
    }
}
