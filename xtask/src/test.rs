//! `cargo xtask test`: every test there is, on servers of their own.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use tokio::task::spawn_blocking;

use crate::apt::find_program;
use crate::build::{self, cargo};
use crate::process::{Ending, spawn};
use crate::progress::Progress;
use crate::runtime::Kind;
use crate::{postgres, redis};

/// Run every test there is: unit tests, the host's and the end-to-end ones
///
/// Starts a throw-away Postgres and Redis. Ends non-zero when a test fails.
///
/// Examples:
///   cargo xtask test
///   cargo xtask test login              only tests with `login` in their name
///   cargo xtask test --runtime spin     the end-to-end tests on the spin on the PATH
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What runs the components in the end-to-end tests
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    runtime: Kind,
    /// Parts of the names of the tests to run; all without one
    filters: Vec<String>,
}

/// Runs the tests.
///
/// # Errors
/// When something does not build or start, or a test fails.
pub async fn run(arguments: &Args) -> Result<()> {
    let mut ending = Ending::new()?;
    tokio::select! {
        tested = test(arguments) => tested,
        () = ending.wait() => bail!("stopped"),
    }
}

async fn test(arguments: &Args) -> Result<()> {
    let spin = match arguments.runtime {
        Kind::Embedded => None,
        Kind::Spin => Some(
            find_program("spin")
                .context("there is no `spin` on the PATH: install Spin 4.1 or newer")?,
        ),
    };
    let progress = Progress::new();
    let components = spawn_blocking({
        let progress = progress.clone();
        move || build::components(&progress)
    });
    // Built as the tests are, so that nothing is compiled twice with other features.
    let host = spawn_blocking(move || build::tests(&progress));
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let postgres = postgres::Server::start_throw_away(&folder.path().join("postgres")).await?;
    let redis = redis::Server::start(&folder.path().join("redis")).await?;
    components.await??;
    let host: PathBuf = host.await??;

    let database = postgres.create_database("test").await?;
    let mut passed = true;
    // The end-to-end tests take one filter at a time.
    let filters = arguments
        .filters
        .chunks(1)
        .chain(arguments.filters.is_empty().then_some(&[][..]));
    for filter in filters {
        let mut command = cargo();
        command
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(filter);
        command
            .env("TEST_DATABASE_URL", &database)
            .env("TEST_REDIS_URL", redis.url(0))
            .env("E2E_RUNTIME", arguments.runtime.to_string())
            .env("XTASK_HOST", &host)
            .env_remove("TEST_RUNTIME");
        if let Some(spin) = &spin {
            command.env("TEST_RUNTIME", spin);
        }
        passed &= run_to_end(command).await?.success();
    }
    postgres.stop().await?;
    redis.stop().await?;
    ensure!(
        passed,
        "tests failed: the lines after `failures:` above name them"
    );
    Ok(())
}

/// Runs cargo where its output is seen; it ends with us.
async fn run_to_end(mut command: Command) -> Result<ExitStatus> {
    struct Guard(Child);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    command.stdin(Stdio::null());
    let mut child = Guard(spawn(command, Signal::SIGTERM).context("cannot start cargo")?);
    loop {
        if let Some(status) = child.0.try_wait()? {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
