//! `cargo xtask test-deploy`: tests everything in deploy/ as far as this machine can run it.

mod files;
mod kubernetes;
mod registry;
mod server;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use testbed::progress::Progress;

use crate::build;
use crate::shutdown::unless_stopped;

/// Test the deployments: manifests, scripts, units, proxies, the registry, and a server
///
/// The server test installs a release on a real systemd in a container, stores an entry over HTTPS,
/// restarts, kills and reboots. It needs root and Debian's packages mmdebstrap and systemd-container.
/// A test whose programs are missing is skipped, with their names.
///
/// Examples:
///   cargo xtask test-deploy
///   cargo xtask test-deploy kubernetes registry
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Tests to run [default: all]
    #[arg(value_parser = ["kubernetes", "files", "registry", "server"])]
    tests: Vec<String>,
}

/// What became of the tests.
#[derive(Default)]
struct Summary {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Summary {
    /// Runs a test, unless one of the programs that it needs is missing.
    fn run(&mut self, name: &str, programs: &[&str], test: impl FnOnce() -> Result<()>) {
        let missing: Vec<_> = programs
            .iter()
            .filter(|program| which::which(program).is_err())
            .copied()
            .collect();
        if !missing.is_empty() {
            self.skipped += 1;
            return println!("skip {name}: install {}", missing.join(", "));
        }
        self.add(name, test());
    }

    fn add(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok   {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
}

pub async fn run(arguments: &Args) -> Result<()> {
    let is_chosen =
        |name: &str| arguments.tests.is_empty() || arguments.tests.iter().any(|test| test == name);
    let mut summary = Summary::default();
    if is_chosen("kubernetes") {
        kubernetes::run(&mut summary);
    }
    if is_chosen("files") {
        files::run(&mut summary)?;
    }
    let progress = Progress::new();
    if is_chosen("registry") || is_chosen("server") {
        unless_stopped(build::components(&progress)).await?;
    }
    if is_chosen("registry") {
        unless_stopped(registry::run(&mut summary)).await?;
    }
    if is_chosen("server") {
        unless_stopped(server::run(&mut summary, &progress)).await?;
    }
    let Summary {
        passed,
        failed,
        skipped,
    } = summary;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ensure!(failed == 0, "{failed} tests failed: see above");
    Ok(())
}

/// Runs a program in the repository's root and returns its standard output.
///
/// # Errors
/// When it fails, with what it printed.
fn output(program: &str, arguments: &[&str]) -> Result<String> {
    output_of(Command::new(program).args(arguments))
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .current_dir(testbed::workspace())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}):\n{stdout}{stderr}",
            command.get_program().display(),
            output.status
        );
    }
    Ok(stdout)
}
