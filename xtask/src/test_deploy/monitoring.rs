//! Prometheus's configuration, rules and alerts.

use std::process::Command;

use anyhow::Result;

use super::report::{Summary, output, output_of};

const FOLDER: &str = "deploy/monitoring";

pub fn run(summary: &mut Summary) {
    summary.run(
        "monitoring: promtool check config",
        &["promtool"],
        check_config,
    );
    summary.run("monitoring: promtool test rules", &["promtool"], || {
        let mut command = Command::new("promtool");
        let tests = format!("{FOLDER}/alerts-test.yml");
        output_of(command.args(["test", "rules", &tests])).map(drop)
    });
}

/// Checks the configuration and the rules that it names. Only the syntax: the file with the token is on the server.
fn check_config() -> Result<()> {
    let config = format!("{FOLDER}/prometheus.yml");
    output("promtool", &["check", "config", "--syntax-only", &config]).map(drop)
}
