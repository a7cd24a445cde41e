//! `cargo xtask test-deploy`: tests everything in deploy/ as far as this machine can run it.

mod files;
mod kubernetes;
mod monitoring;
mod registry;
mod report;
mod server;

use anyhow::{Result, ensure};
use testbed::progress::Progress;

use crate::build;
use crate::shutdown::unless_stopped;
use report::Summary;

/// Test the deployments: manifests, scripts, units, proxies, alerts, the registry, and a server
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
    #[arg(value_parser = ["kubernetes", "files", "monitoring", "registry", "server"])]
    tests: Vec<String>,
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
    if is_chosen("monitoring") {
        monitoring::run(&mut summary);
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
