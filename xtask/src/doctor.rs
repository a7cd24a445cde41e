//! `cargo xtask doctor`: checks a deployment against the checklists in docs/from-flask.md.

mod backups;
mod database;
mod findings;
mod public;
mod redis;
mod secrets;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use reqwest::Url;
use testbed::settings::Settings;

use findings::Findings;

/// Check a deployment against the security and maintenance checklists
///
/// Reads the deployment's settings from the environment and .env, as the service does, and checks secrets, database,
/// Redis, backups, and the service at its public URL. Each line says what was found or what to do. Exits
/// non-zero if a check fails. Uses two login attempts, with an address that no account has.
///
/// Examples:
///   cargo xtask doctor --url https://api.diary.example
///   cargo xtask doctor --url https://api.diary.example --backups /mnt/backups
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Public URL of the service; without it, only the settings and servers are checked
    #[arg(long)]
    url: Option<Url>,
    /// Folder of the backups that deploy/backup.sh has written
    #[arg(long, value_name = "FOLDER")]
    backups: Option<PathBuf>,
}

/// Lines of the checklists that a program cannot check.
const BY_HAND: [(&str, &str); 6] = [
    (
        "firewall",
        "allow SSH, HTTP and HTTPS only: `ufw status`, or the NetworkPolicy",
    ),
    (
        "logs",
        "bound them in size and age (journald.conf, Docker's max-size), and look for 401, 403 and 429 that pile up",
    ),
    (
        "restoration",
        "run `cargo xtask restore --check` on the newest backup every month",
    ),
    (
        "rotation",
        "replace the secrets every year, and after someone who knew them has left: docs/operations.md says how",
    ),
    (
        "dependencies",
        "merge the update requests, and run `cargo deny check advisories`",
    ),
    (
        "system",
        "install the security updates of the machine or of the base image",
    ),
];

pub async fn run(arguments: &Args) -> Result<()> {
    let mut settings = Settings::load()?;
    let mut findings = Findings::default();
    if let Err(error) = settings.derive_hosts() {
        findings.failed("settings", format!("{error:#}"));
    }

    secrets::check(&settings, &mut findings);
    database::check(&settings, &mut findings).await;
    redis::check(&settings, &mut findings).await;
    backups::check(arguments.backups.as_deref(), &mut findings);
    match &arguments.url {
        Some(url) => public::check(url, &settings, &mut findings).await,
        None => findings.skipped(
            "service",
            "pass --url to check TLS, headers, CORS, ports, clock and proxies",
        ),
    }
    for (name, advice) in BY_HAND {
        findings.by_hand(name, advice);
    }

    findings.print();
    let failed = findings.failures();
    ensure!(
        failed == 0,
        "{failed} of the checks failed: see the lines above"
    );
    Ok(())
}
