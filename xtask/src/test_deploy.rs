//! `cargo xtask test deploy`: tests everything in deploy/ as far as this machine can run it.

mod compose;
mod container;
mod failover;
mod files;
mod kubernetes;
mod load;
mod monitoring;
mod nginx;
mod recovery;
mod registry;
mod report;
mod server;
mod upgrade;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use testbed::progress::Progress;

use crate::build;
use crate::shutdown::unless_stopped;
use report::Summary;

/// Run the tests of deploy/: manifests, images, proxies, alerts, the registry, and whole deployments
///
/// What a part needs and this machine does not have is named, and the part is skipped.
/// Exits non-zero when a part fails.
///
/// Examples:
///   cargo xtask test deploy
///   cargo xtask test deploy kubernetes files registry     needs no root, takes a minute
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Parts to run [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The manifests: schemas, the operator's custom resources, and the rules of its webhooks
    Kubernetes,
    /// Scripts, units, the image's Dockerfile, the Compose file, and the files of the proxies
    Files,
    /// The alerts and the dashboard, with Prometheus's own checks
    Monitoring,
    /// A push to a real registry, signed with cosign, and its start by Spin
    Registry,
    /// Old, new and old instances behind nginx, replaced while clients write
    Upgrade,
    /// The Compose deployment in Docker: the end-to-end tests through its proxy, a backup, a rollback
    Compose,
    /// A dropped table, and a recovery of the second before with pgBackRest
    Recovery,
    /// A primary that is killed while clients write, and its replica behind HAProxy
    Failover,
    /// An installation on a real systemd in a container, with certificates of a real ACME server
    Server,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let is_chosen = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let mut summary = Summary::default();
    if is_chosen(Part::Kubernetes) {
        kubernetes::run(&mut summary);
    }
    if is_chosen(Part::Files) {
        files::run(&mut summary)?;
    }
    if is_chosen(Part::Monitoring) {
        monitoring::run(&mut summary);
    }
    let progress = Progress::new();
    let parts = [
        Part::Registry,
        Part::Upgrade,
        Part::Compose,
        Part::Failover,
        Part::Server,
    ];
    if parts.into_iter().any(is_chosen) {
        unless_stopped(build::components(&progress)).await?;
    }
    if is_chosen(Part::Registry) {
        unless_stopped(registry::run(&mut summary)).await?;
    }
    if is_chosen(Part::Upgrade) {
        unless_stopped(upgrade::run(&mut summary, &progress)).await?;
    }
    if is_chosen(Part::Compose) {
        unless_stopped(compose::run(&mut summary, &progress)).await?;
    }
    if is_chosen(Part::Recovery) {
        unless_stopped(recovery::run(&mut summary, &progress)).await?;
    }
    if is_chosen(Part::Failover) {
        unless_stopped(failover::run(&mut summary, &progress)).await?;
    }
    if is_chosen(Part::Server) {
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
