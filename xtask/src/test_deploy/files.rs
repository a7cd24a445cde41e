//! Scripts, units, the image's Dockerfile, the Compose file, and the proxies' files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::nginx::{Ports, Site, free_port};
use super::report::{Summary, output, output_of};

/// `systemd-analyze security`: 0 is best, 10 is worst.
const MAX_EXPOSURE: f64 = 2.0;

pub fn run(summary: &mut Summary) -> Result<()> {
    let scripts = with_extension("sh")?;
    summary.run("scripts: shellcheck", &["shellcheck"], || {
        output_of(Command::new("shellcheck").args(&scripts)).map(drop)
    });
    summary.run("image: hadolint", &["hadolint"], || {
        output("hadolint", &["deploy/compose/Dockerfile"]).map(drop)
    });
    let name = "compose: docker compose config";
    if output("docker", &["compose", "version"]).is_ok() {
        summary.add(name, compose());
    } else {
        summary.skip(name, "install Docker Compose");
    }
    summary.run(
        "units: systemd-analyze security",
        &["systemd-analyze"],
        units,
    );
    summary.run("proxy: nginx -t", &["nginx", "openssl"], || {
        Site::new(&Ports {
            http: free_port()?,
            https: free_port()?,
            instances: [3000, 3001],
        })?
        .check()
    });
    summary.run("proxy: caddy validate", &["caddy"], || {
        let mut command = Command::new("caddy");
        command.args([
            "validate",
            "--adapter",
            "caddyfile",
            "--config",
            "deploy/proxy/Caddyfile",
        ]);
        output_of(
            command
                .env("DOMAIN", "localhost")
                .env("UPSTREAMS", "127.0.0.1:3000 127.0.0.1:3001"),
        )
        .map(drop)
    });
    Ok(())
}

/// Returns the files in deploy/ with an extension.
fn with_extension(extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![testbed::workspace().join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "there is no file with the extension {extension}"
    );
    Ok(found)
}

/// Compose checks that the secrets' files exist only when it starts, so no secret is needed here.
fn compose() -> Result<()> {
    let mut command = Command::new("docker");
    command.args([
        "compose",
        "--file",
        "deploy/compose/compose.yaml",
        "--env-file",
        "deploy/compose/.env.example",
    ]);
    output_of(command.args(["config", "--quiet"])).map(drop)
}

fn units() -> Result<()> {
    for unit in with_extension("service")? {
        let unit = unit.to_string_lossy();
        let report = output(
            "systemd-analyze",
            &["security", "--offline=true", "--no-pager", &unit],
        )?;
        ensure_sandboxed(&unit, &report)?;
    }
    Ok(())
}

/// Checks the exposure level in what `systemd-analyze security` printed for a unit.
pub fn ensure_sandboxed(unit: &str, report: &str) -> Result<()> {
    let exposure =
        exposure(report).with_context(|| format!("{unit}: no exposure level in\n{report}"))?;
    ensure!(
        exposure < MAX_EXPOSURE,
        "{unit} has the exposure level {exposure}, {MAX_EXPOSURE} or more"
    );
    Ok(())
}

/// Reads "→ Overall exposure level for thought-diary@i.service: 1.3 OK".
fn exposure(report: &str) -> Option<f64> {
    let (_, level) = report
        .split_once("Overall exposure level for ")?
        .1
        .split_once(": ")?;
    level.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_exposure_level() {
        let report = "✗ PrivateNetwork=  0.5\n\n→ Overall exposure level for thought-diary@i.service: 1.3 OK 🙂\n";
        assert_eq!(exposure(report), Some(1.3));
        assert_eq!(exposure("Failed to load"), None);
    }
}
