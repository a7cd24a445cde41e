//! `cargo xtask test`: runs all tests, on servers of their own.

use anyhow::{Context, Result, ensure};
use testbed::postgres::{self, pgbouncer};
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;
use testbed::runtime::Kind;
use testbed::{cargo, redis};

use crate::shutdown::unless_stopped;
use crate::{build, test_contract, test_deploy, test_fuzz};

/// Run all tests but those of faults, the contract and deployments: unit tests, those of the host, and the end-to-end tests
///
/// Starts a temporary Postgres and Redis. Exits non-zero when a test fails.
///
/// Examples:
///   cargo xtask test
///   cargo xtask test login              only tests with `login` in their name
///   cargo xtask test --runtime spin     the end-to-end tests on the spin on the PATH
///   cargo xtask test --pgbouncer        the end-to-end tests with PgBouncer between the service and Postgres
///   cargo xtask test --url https://diary.test     the end-to-end tests that can run on a service elsewhere
///   cargo xtask test faults             only the fault tests, see `cargo xtask test faults --help`
///   cargo xtask test contract           only generated requests, see `cargo xtask test contract --help`
///   cargo xtask test fuzz               only fuzzing, see `cargo xtask test fuzz --help`
///   cargo xtask test deploy             only the tests of deploy/, see `cargo xtask test deploy --help`
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Put PgBouncer 1.21 or newer, in transaction mode, between the service and Postgres in the end-to-end tests
    #[arg(long)]
    pgbouncer: bool,
    #[command(flatten)]
    selection: Selection,
    /// Run the end-to-end tests on the service at this address, behind a proxy
    ///
    /// Starts no servers. Tests that need their own are skipped. The service must have the settings `register_limit` and
    /// `login_limit` off, `write_limit` and `model_limit` high, and the secrets TEST_JWT_KEY and TEST_SWEEP_TOKEN of
    /// testbed/src/settings.rs. The environment can name a certificate authority to trust (E2E_CA, a file), and the
    /// service's servers (E2E_DATABASE_URL, E2E_REDIS_URL). If E2E_MODEL_ADDRESS has the address that the service's
    /// `github_models_host` names, the tests serve the model there, with `github_timeout_ms` 1500 and the secret
    /// TEST_MODEL_TOKEN. Never use the address of a service with users.
    #[arg(long, conflicts_with = "runtime")]
    url: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run the fault tests: servers and connections fail while clients write
    ///
    /// Each test causes one fault: Postgres, Redis, the service or the model is killed
    /// and restarted, its connections are cut, refused or stalled, a table is locked,
    /// or the connections of Postgres are used up. Afterwards every acknowledged write
    /// must be stored once, and the service must have recovered. Takes 2.5 minutes.
    ///
    /// Examples:
    ///   cargo xtask test faults
    ///   cargo xtask test faults redis             only faults with `redis` in their name
    ///   cargo xtask test faults --runtime spin
    #[command(verbatim_doc_comment)]
    Faults(Selection),
    Contract(test_contract::Args),
    Fuzz(test_fuzz::Args),
    Deploy(test_deploy::Args),
}

/// The tests to run, and the runtime to run them on.
#[derive(clap::Args)]
struct Selection {
    /// The program that runs the components in the end-to-end tests
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    runtime: Kind,
    /// Parts of the names of the tests to run [default: all tests]
    filters: Vec<String>,
}

pub async fn run(arguments: &Args) -> Result<()> {
    match (&arguments.command, &arguments.url) {
        (Some(Command::Faults(selection)), _) => unless_stopped(test_faults(selection)).await,
        (Some(Command::Contract(arguments)), _) => {
            unless_stopped(test_contract::run(arguments)).await
        }
        (Some(Command::Fuzz(arguments)), _) => unless_stopped(test_fuzz::run(arguments)).await,
        (Some(Command::Deploy(arguments)), _) => test_deploy::run(arguments).await,
        (None, Some(url)) => unless_stopped(test_url(url, &arguments.selection)).await,
        (None, None) => unless_stopped(test(&arguments.selection, arguments.pgbouncer)).await,
    }
}

/// Runs the end-to-end tests on a service elsewhere.
async fn test_url(url: &str, arguments: &Selection) -> Result<()> {
    let mut passed = true;
    for filter in filters(arguments) {
        let mut command = cargo::command();
        command
            .args(["test", "--workspace", "--test", "e2e", "--"])
            // Fewer at once than on servers of their own, because one instance serves all of them.
            .args(["--ignored", "--test-threads", "3"])
            .args(filter)
            .env("E2E_URL", url);
        passed &= succeeds(command).await?;
    }
    conclude(passed)
}

/// Runs the fault tests, which start their own servers.
async fn test_faults(arguments: &Selection) -> Result<()> {
    let progress = Progress::new();
    build::components(&progress).await?;
    let program = arguments.runtime.program(&progress).await?;
    let mut passed = true;
    for filter in filters(arguments) {
        let mut command = cargo::command();
        command
            .args(["test", "--test", "faults", "--", "--ignored"])
            .args(filter)
            .env("E2E_RUNTIME", arguments.runtime.to_string());
        if arguments.runtime == Kind::Embedded {
            command.env("XTASK_HOST", &program);
        }
        passed &= succeeds(command).await?;
    }
    conclude(passed)
}

/// Returns the filters one by one: test programs take one at a time. Without filters, returns an empty one.
fn filters(arguments: &Selection) -> impl Iterator<Item = &[String]> {
    let filters = arguments.filters.chunks(1);
    filters.chain(arguments.filters.is_empty().then_some(&[][..]))
}

async fn succeeds(command: std::process::Command) -> Result<bool> {
    let mut child = ChildProcess::start(command, Signal::SIGTERM)?;
    Ok(child.wait().await.success())
}

fn conclude(passed: bool) -> Result<()> {
    ensure!(
        passed,
        "tests failed: the lines after `failures:` above name them"
    );
    Ok(())
}

async fn test(arguments: &Selection, with_pgbouncer: bool) -> Result<()> {
    let pgbouncer = match with_pgbouncer {
        true => Some(pgbouncer::find_or_install().await?),
        false => None,
    };
    let spin = match arguments.runtime {
        Kind::Embedded => None,
        Kind::Spin => Some(Kind::Spin.program(&Progress::new()).await?),
    };
    let progress = Progress::new();
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let (postgres_dir, redis_dir) = (folder.path().join("postgres"), folder.path().join("redis"));
    let mut build = cargo::command();
    build.args(["test", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics"]);
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
    for filter in filters(arguments) {
        let mut command = cargo::command();
        command
            .args(["test", "--no-fail-fast", "--", "--include-ignored"])
            .args(filter)
            .env("TEST_DATABASE_URL", &database)
            .env("TEST_REDIS_URL", redis.url(0))
            .env("E2E_RUNTIME", arguments.runtime.to_string())
            .env("XTASK_HOST", &host)
            .env_remove("TEST_RUNTIME")
            .env_remove("E2E_PGBOUNCER")
            .envs(pgbouncer.iter().map(|program| ("E2E_PGBOUNCER", program)))
            .envs(spin.iter().map(|spin| ("TEST_RUNTIME", spin)));
        passed &= succeeds(command).await?;
    }
    tokio::join!(postgres.stop(), redis.stop());
    conclude(passed)
}
