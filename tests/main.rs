//! End-to-end tests over the real `.wasm` on real servers. The servers are started once, before the tests, and stopped after them.

use std::pin::Pin;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::OnceCell;

/// A module's tests by their names; one that is not listed is dead code, and the compiler says so.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub fn tests() -> Vec<crate::Test> {
            vec![$((
                concat!(module_path!(), "::", stringify!($name)),
                |stage| Box::pin($name(stage)),
            )),+]
        }
    };
}

mod client;
mod collector;
mod conventions;
mod html;
mod model;
mod raw;
mod schema;
mod stage;
mod wire;

mod adoption;
mod auth;
mod bad_input;
mod bad_models;
mod bad_requests;
mod cache;
mod circuit;
mod connections;
mod cors;
mod diaries;
mod faults;
mod headers;
mod limits;
mod logins;
mod pages;
mod permissions;
mod privacy;
mod providers;
mod sentiment;
mod settings;
mod stampede;
mod stats;
mod sweep;
mod system;
mod tokens;

use stage::Stage;

/// A name, and what to run on the stage.
type Test = (
    &'static str,
    fn(&'static Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>,
);

/// Most tests wait for servers rather than for the processor.
const THREADS: usize = 6;

/// The stage is set for the first test that is run, and once only.
static STAGE: OnceCell<Result<Stage>> = OnceCell::const_new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let runtime = Runtime::new()?;
    let conclusion = libtest_mimic::run(&arguments, trials(runtime.handle()));
    if let Some(Ok(stage)) = STAGE.get() {
        runtime.block_on(stage.stop());
    }
    Ok(conclusion.exit_code())
}

async fn perform(test: Test) -> Result<(), Failed> {
    let stage = STAGE.get_or_init(Stage::start).await.as_ref();
    let stage = stage.map_err(|error| format!("the servers did not start: {error:#}"))?;
    (test.1)(stage).await;
    Ok(())
}

fn trials(runtime: &Handle) -> Vec<Trial> {
    let modules = [
        // Those that wait longest come first.
        faults::tests(),
        sentiment::tests(),
        bad_models::tests(),
        circuit::tests(),
        providers::tests(),
        stampede::tests(),
        cache::tests(),
        settings::tests(),
        adoption::tests(),
        auth::tests(),
        logins::tests(),
        bad_input::tests(),
        bad_requests::tests(),
        connections::tests(),
        cors::tests(),
        diaries::tests(),
        headers::tests(),
        limits::tests(),
        pages::tests(),
        permissions::tests(),
        privacy::tests(),
        stats::tests(),
        sweep::tests(),
        system::tests(),
        tokens::tests(),
    ];
    let trial = |test: Test| {
        let runtime = runtime.clone();
        let name = test.0.trim_start_matches("e2e::");
        Trial::test(name, move || runtime.block_on(perform(test)))
    };
    modules.into_iter().flatten().map(trial).collect()
}
