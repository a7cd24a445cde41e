//! `cargo xtask test`: runs all tests, on servers of their own.

use anyhow::{Context, Result, ensure};
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;
use testbed::runtime::Kind;
use testbed::{cargo, postgres, redis};

use crate::build;
use crate::shutdown::unless_stopped;

/// Run all tests: unit tests, those of the host, and the end-to-end tests
///
/// Starts a temporary Postgres and Redis. Exits non-zero when a test fails.
///
/// Examples:
///   cargo xtask test
///   cargo xtask test login              only tests with `login` in their name
///   cargo xtask test --runtime spin     the end-to-end tests on the spin on the PATH
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The program that runs the components in the end-to-end tests
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    runtime: Kind,
    /// Parts of the names of the tests to run [default: all tests]
    filters: Vec<String>,
}

pub async fn run(arguments: &Args) -> Result<()> {
    unless_stopped(test(arguments)).await
}

async fn test(arguments: &Args) -> Result<()> {
    let spin = match arguments.runtime {
        Kind::Embedded => None,
        Kind::Spin => Some(Kind::Spin.program(&Progress::new()).await?),
    };
    let progress = Progress::new();
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let (postgres_dir, redis_dir) = (folder.path().join("postgres"), folder.path().join("redis"));
    let mut build = cargo::command();
    build.args([
        "test",
        "--workspace",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let ((), messages, postgres, redis) = tokio::try_join!(
        build::components(&progress),
        cargo::build(build, progress.step("Building the tests")),
        postgres::Server::start_throw_away(&postgres_dir),
        redis::Server::start(&redis_dir),
    )?;
    // Building the host's tests has built the host.
    let host = cargo::find_host(&messages).context("cargo does not say where the host is")?;
    let database = postgres.create_database("test").await?;
    let mut passed = true;
    // The end-to-end tests take one filter at a time.
    let filters = arguments.filters.chunks(1);
    let filters = filters.chain(arguments.filters.is_empty().then_some(&[][..]));
    for filter in filters {
        let mut command = cargo::command();
        command
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(filter)
            .env("TEST_DATABASE_URL", &database)
            .env("TEST_REDIS_URL", redis.url(0))
            .env("E2E_RUNTIME", arguments.runtime.to_string())
            .env("XTASK_HOST", &host)
            .env_remove("TEST_RUNTIME")
            .envs(spin.iter().map(|spin| ("TEST_RUNTIME", spin)));
        passed &= ChildProcess::start(command, Signal::SIGTERM)?
            .wait()
            .await
            .success();
    }
    tokio::join!(postgres.stop(), redis.stop());
    ensure!(
        passed,
        "tests failed: the lines after `failures:` above name them"
    );
    Ok(())
}
