//! `cargo xtask`: one command for each thing to do with this repository.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{apt, bench, build, eval, migrate, seed, sweep, test, up};

/// Everything to do with Thought Diary: build, run, migrate, test, measure
///
/// Begin with `cargo xtask up`. Each command has its own --help, with examples.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Args),
    Test(test::Args),
    Bench(bench::Args),
    Eval(eval::Args),
    Build(build::Args),
    Migrate(migrate::Args),
    Seed(seed::Args),
    Sweep(sweep::Args),
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(arguments) => up::run(&arguments).await,
        Command::Test(arguments) => test::run(&arguments).await,
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Eval(arguments) => eval::run(&arguments).await,
        Command::Build(arguments) => build::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments).await,
        Command::Seed(arguments) => seed::run(&arguments).await,
        Command::Sweep(arguments) => sweep::run(&arguments).await,
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(cli.command));
    apt::wait_until_idle();
    // A build that nobody waits for any more must not hold us up; it ends with this process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
