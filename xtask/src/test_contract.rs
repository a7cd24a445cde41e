//! `cargo xtask test contract`: requests that schemathesis generates from the API document.

use anyhow::{Context, Result, ensure};
use testbed::environment::Environment;
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};

use crate::{build, python};

const PACKAGE: &str = "schemathesis==4.32.5";
const OPERATOR_TOKEN: &str = "operator-token-of-the-contract-test";

/// Run generated requests: does the service do what its API document says?
///
/// Schemathesis, a program in Python, generates valid and invalid requests for each
/// operation, with a token, and checks each response: status, headers and body as
/// documented, no 5xx, no access without a token. Needs Python 3 with venv, and
/// installs schemathesis below target/. Takes three minutes.
///
/// Examples:
///   cargo xtask test contract
///   cargo xtask test contract --cases 1000 --seed 2 --runtime spin
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The program that runs the components
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    runtime: Kind,
    /// The number of generated requests per operation, beside those for each edge of the document
    #[arg(long, default_value_t = 150, value_name = "NUMBER")]
    cases: u32,
    /// Another number generates other requests
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let progress = Progress::new();
    build::service(arguments.runtime, &progress).await?;
    let step = progress.step("Installing schemathesis");
    step.announce();
    let programs = python::install(PACKAGE).await;
    let programs = programs.context("schemathesis is not available: install Python 3 with venv")?;
    step.done();
    let environment = Environment::start().await?;
    let options = environment.service(&[("sweep_token", OPERATOR_TOKEN)])?;
    let service = App::start(arguments.runtime, options).await?;

    let folder = testbed::workspace().join("tests/schemathesis");
    let mut command = std::process::Command::new(programs.join("schemathesis"));
    command
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/openapi.json", service.url()))
        .args(["--checks", "all", "--continue-on-failure", "--workers", "4"])
        .args(["--max-examples", &arguments.cases.to_string()])
        .args(["--seed", &arguments.seed.to_string()])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "HYPOTHESIS_STORAGE_DIRECTORY",
            programs.join("../hypothesis"),
        )
        .env("CONTRACT_URL", service.url())
        .env("CONTRACT_OPERATOR_TOKEN", OPERATOR_TOKEN)
        .current_dir(&folder);
    let status = ChildProcess::start(command, Signal::SIGTERM)?.wait().await;

    service.stop().await;
    environment.stop().await;
    ensure!(
        status.success(),
        "the service differs from its API document: the lines after `FAILURES` above say where"
    );
    Ok(())
}
