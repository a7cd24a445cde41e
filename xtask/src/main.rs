//! `cargo xtask`: one command for each task in this repository.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::apt;

mod backup;
mod bench;
mod build;
mod debian_wasm;
mod doctor;
mod document;
mod eval;
mod generate;
mod local;
mod migrate;
mod push;
mod python;
mod restore;
mod seed;
mod shutdown;
mod sweep;
mod test;
mod test_contract;
mod test_deploy;
mod up;
mod user;

/// Build, run, migrate, test and measure Thought Diary
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
    Generate(generate::Args),
    User(user::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Push(push::Args),
    Doctor(doctor::Args),
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(arguments) => up::run(&arguments).await,
        Command::Test(arguments) => test::run(&arguments).await,
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Eval(arguments) => eval::run(&arguments).await,
        Command::Build(arguments) => build::run(&arguments).await,
        Command::Migrate(arguments) => migrate::run(&arguments).await,
        Command::Seed(arguments) => seed::run(&arguments).await,
        Command::Sweep(arguments) => sweep::run(&arguments).await,
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments).await,
        Command::Restore(arguments) => restore::run(&arguments).await,
        Command::User(arguments) => user::run(&arguments).await,
        Command::Push(arguments) => push::run(&arguments).await,
        Command::Doctor(arguments) => doctor::run(&arguments).await,
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
    let result = runtime.block_on(run(cli.command));
    apt::wait_until_idle();
    // Does not wait for blocking tasks whose result nobody needs after Ctrl-C.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
