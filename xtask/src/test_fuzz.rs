//! `cargo xtask test fuzz`: coverage-guided fuzzing of the code that reads what clients and models send.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::cargo;
use testbed::process::{ChildProcess, Signal};
use testbed::progress::Progress;

/// Packages whose unit tests have fuzz targets, and the targets: tests that call `bolero::check!`.
const TARGETS: [(&str, &str); 5] = [
    (
        "thought-diary",
        "http::peer::tests::fuzz_forwarded_addresses",
    ),
    ("thought-diary", "http::request::tests::fuzz_json_bodies"),
    ("thought-diary", "session::tests::fuzz_tokens"),
    ("entries", "list_query::tests::fuzz_list_queries"),
    ("sentiment", "markup::tests::fuzz_markup"),
];

/// What libFuzzer needs to see which code an input reaches.
const FLAGS: &str = "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Fuzz the code that reads requests, tokens, X-Forwarded-For, and the model's phrases
///
/// libFuzzer changes inputs until they reach new code, for some time per target. The
/// inputs are kept below target/, and the next run begins with them. Plain `cargo test`
/// runs the same targets for a second each with random inputs. Needs a C++ compiler.
///
/// Examples:
///   cargo xtask test fuzz
///   cargo xtask test fuzz --seconds 600 markup
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_name = "NUMBER")]
    seconds: u32,
    /// A part of the names of the targets to run [default: all targets]
    filter: Option<String>,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let folder = testbed::workspace().join("target/fuzz");
    let step = Progress::new().step("Building the fuzz targets");
    let mut build = cargo::command();
    build
        .args([
            "test",
            "--no-run",
            "--lib",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args([
            "--package",
            "thought-diary",
            "--package",
            "entries",
            "--package",
            "sentiment",
        ])
        .arg("--target-dir")
        .arg(&folder)
        // Without `--target`, cargo gives RUSTFLAGS to build scripts as well, and these have no libFuzzer to link to.
        .args(["--target", "host-tuple"])
        .env("RUSTFLAGS", FLAGS)
        .env("BOLERO_FUZZER", "libfuzzer");
    let messages = cargo::build(build, step).await?;
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let chosen = TARGETS.iter().filter(|(_, target)| target.contains(filter));
    let mut count = 0;
    for (package, target) in chosen {
        count += 1;
        let program = cargo::find_test(&messages, package)
            .with_context(|| format!("cargo does not say where the tests of {package} are"))?;
        let corpus = folder.join("corpus").join(target.replace("::", "-"));
        std::fs::create_dir_all(&corpus)?;
        let corpus = corpus.display();
        let seconds = arguments.seconds;
        println!("Fuzzing {package} {target} for {seconds} s");
        let mut command = Command::new(program);
        command
            .args([target, "--exact", "--nocapture", "--test-threads", "1"])
            .env("BOLERO_TEST_NAME", target)
            .env("BOLERO_LIBTEST_HARNESS", "1")
            .env(
                "BOLERO_LIBFUZZER_ARGS",
                format!("{corpus} -max_total_time={seconds} -timeout=10 -print_final_stats=1 -artifact_prefix={corpus}-"),
            );
        let status = ChildProcess::start(command, Signal::SIGTERM)?.wait().await;
        ensure!(
            status.success(),
            "{target} failed: the lines above show the input, which is kept in {corpus}-crash-*"
        );
    }
    ensure!(count > 0, "no target has `{filter}` in its name");
    Ok(())
}
