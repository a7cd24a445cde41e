//! End-to-end tests over the real `.wasm`, on real servers that start once before the tests and stop after them.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::ExitCode;

use anyhow::Result;
use futures::FutureExt;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

mod support {
    pub mod analysis;
    pub mod app;
    pub mod bouncers;
    pub mod client;
    pub mod database;
    pub mod entries;
    pub mod env;
    pub mod http_server;
    pub mod instance;
    pub mod invariants;
    pub mod marked_text;
    pub mod metrics;
    pub mod model_server;
    pub mod openapi;
    pub mod own;
    pub mod private_values;
    pub mod raw_http;
    pub mod registry;
    pub mod repository;
    pub mod request;
    pub mod response;
    pub mod sentry_server;
    pub mod time;
    pub mod trace_collector;
    pub mod unique;
}

mod accounts {
    mod account_deletion;
    mod audit_log;
    mod export;
    mod failed_logins;
    mod hashing;
    mod key_rotation;
    mod legacy_passwords;
    mod limits_without_redis;
    mod login;
    mod operators;
    mod password_change;
    mod rate_limits;
    mod register;
    mod session_list;
    mod sessions;
    mod tokens;
}

mod diaries {
    mod analyze;
    mod concurrency;
    mod conditional;
    mod create;
    mod cursor;
    mod delete;
    mod filters;
    mod idempotency;
    mod import;
    mod list;
    mod model_calls;
    mod model_limit;
    mod read;
    mod stats;
    mod sweep;
    mod sweep_limits;
    mod trend;
    mod update;
    mod write_limit;
}

mod migrations {
    mod adopted_data;
    mod adoption;
    mod finish;
    mod newer_schema;
    mod sample_data;
    mod steps;
}

mod sentiment {
    mod cache;
    mod circuit_breaker;
    mod invalid_replies;
    mod lexicon;
    mod model;
    mod overload;
    mod providers;
    mod unreachable_model;
}

mod system {
    mod backup;
    mod cors;
    mod docs;
    mod headers;
    mod log_correlation;
    mod manifest;
    mod metrics;
    mod openapi;
    mod operations;
    mod outages;
    mod privacy;
    mod raw_requests;
    mod readiness;
    mod request_bodies;
    mod request_log;
    mod routing;
    mod sentry;
    mod settings;
    mod slow_clients;
    mod tls;
}

use support::env::TestEnv;
use support::own::Skipped;
use support::private_values;
use support::registry::{Test, tests};

/// More than there are cores, because most tests wait for servers.
const TEST_THREADS: usize = 6;

/// The environment, which the first test starts: `--list` starts no servers.
static ENV: OnceCell<Result<TestEnv>> = OnceCell::const_new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TEST_THREADS);
    let runtime = Runtime::new()?;
    let trial = |test: &'static Test| {
        let runtime = runtime.handle().clone();
        let trial = Trial::ignorable_test(test.name(), move || runtime.block_on(run(test)));
        // Like the host's tests: plain `cargo test` runs only what needs no servers.
        trial.with_ignored_flag(true)
    };
    if !(arguments.ignored || arguments.include_ignored) {
        println!(
            "\nThese tests need servers. `cargo xtask test` builds what they need, starts Postgres and Redis, and runs all tests."
        );
    }
    let trials = tests().into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let Some(Ok(env)) = ENV.get() else {
        return Ok(conclusion.exit_code());
    };
    runtime.block_on(env.stop());
    let (leaks, lines) = private_values::leaks();
    println!(
        "searched {lines} log lines for private values: {} found",
        leaks.len()
    );
    for line in &leaks {
        println!("a private value is in the log: {line}");
    }
    Ok(
        match leaks.is_empty() && (lines > 0 || env.is_elsewhere()) {
            true => conclusion.exit_code(),
            false => ExitCode::FAILURE,
        },
    )
}

async fn run(test: &Test) -> Result<Completion, Failed> {
    let env = ENV.get_or_init(TestEnv::start).await.as_ref();
    let env = env.map_err(|error| {
        format!("the servers did not start; `cargo xtask test` builds what they need: {error:#}")
    })?;
    match AssertUnwindSafe(test.run(env)).catch_unwind().await {
        Ok(()) => Ok(Completion::Completed),
        Err(panic) => match panic.downcast::<Skipped>() {
            Ok(skipped) => Ok(Completion::ignored_with(format!("needs {}", skipped.0))),
            Err(panic) => resume_unwind(panic),
        },
    }
}
