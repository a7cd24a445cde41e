//! Faults under load, on real servers and the real `.wasm`: whatever fails, no acknowledged write is lost, doubled or
//! overwritten by an older one. Ignored by default because they take minutes; `cargo xtask test faults` runs them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use reqwest::Method;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::sleep;

mod api;
mod client;
mod fault;
mod history;
mod observations;
mod system;

use api::{Api, Request};
use client::Client;
use fault::Fault;
use observations::{Observations, RECOVERY_LIMIT, Tolerance};
use system::{SWEEP_TOKEN, System};

const CLIENTS: usize = 16;

/// How long the clients work before the fault.
const WARM_UP: Duration = Duration::from_millis(500);

/// The fault is over when no request has failed for this time.
const QUIET_TIME: Duration = Duration::from_millis(1500);

const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// One bug can violate the rules a thousand times.
const SHOWN_VIOLATIONS: usize = 30;

/// The system with its clients, which the first test starts: `--list` starts no servers.
static SETUP: OnceCell<Result<Setup>> = OnceCell::const_new();

struct Setup {
    system: System,
    /// They keep their entries from fault to fault, so a write has to survive all later faults as well,
    /// and a fault that loses one makes the later tests fail too.
    clients: Mutex<Vec<Client>>,
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // `cargo xtask test` passes it to all test programs. `cargo xtask test faults` passes --ignored.
    arguments.include_ignored = false;
    // Faults would disturb each other.
    arguments.test_threads = Some(1);
    let runtime = Runtime::new()?;
    let trial = |fault: Fault| {
        let runtime = runtime.handle().clone();
        let test = Trial::test(fault.to_string(), move || runtime.block_on(run(fault)));
        test.with_ignored_flag(true)
    };
    let conclusion = libtest_mimic::run(&arguments, Fault::all().map(trial).collect());
    if let Some(Ok(setup)) = SETUP.get() {
        runtime.block_on(setup.system.stop());
    }
    Ok(conclusion.exit_code())
}

async fn set_up() -> Result<Setup> {
    let system = System::start().await?;
    let clients = (0..CLIENTS).map(|number| Client::register(number, system.urls()));
    let clients = join_all(clients).await.into_iter().collect::<Result<_>>()?;
    Ok(Setup {
        system,
        clients: Mutex::new(clients),
    })
}

async fn run(fault: Fault) -> Result<(), Failed> {
    let setup = SETUP.get_or_init(set_up).await.as_ref();
    let setup = setup.map_err(|error| {
        format!(
            "the servers did not start; `cargo xtask test faults` builds what they need: {error:#}"
        )
    })?;
    let system = &setup.system;
    let mut clients = setup.clients.lock().await;
    system.reset_circuit().await?;

    let seen = Observations::new(fault.tolerance());
    let work = join_all(clients.iter_mut().map(|client| client.work(&seen)));
    let (occurred, _, swept) =
        tokio::join!(occur(fault, system, &seen), work, sweep(system, &seen));
    occurred.and(swept)?;
    println!("{seen}");

    seen.check();
    let mut violations = seen.into_violations();
    violations.extend(check(system, &clients).await?);
    if violations.is_empty() {
        return Ok(());
    }
    let count = violations.len();
    violations.truncate(SHOWN_VIOLATIONS);
    Err(format!("{count} violations, among them:\n{}", violations.join("\n")).into())
}

/// Lets the fault occur while the clients work, and stops them when the service has recovered.
async fn occur(fault: Fault, system: &System, seen: &Observations) -> Result<()> {
    sleep(WARM_UP).await;
    let occurred = fault.occur(system).await;
    seen.fault_ended();
    let recovered = async {
        sleep(QUIET_TIME).await;
        while seen.time_without_failure() < QUIET_TIME {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // A service that does not recover shows in the recovery time.
    let _ = tokio::time::timeout(RECOVERY_LIMIT + QUIET_TIME, recovered).await;
    seen.stop();
    occurred
}

/// Lets the sweep attach the model's marks while the clients write.
async fn sweep(system: &System, seen: &Observations) -> Result<()> {
    let api = Api::new(system.urls())?;
    while !seen.is_stopped() {
        let request = Request::new(Method::POST, "/internal/sweep", SWEEP_TOKEN);
        api.send(&request, seen).await;
        sleep(SWEEP_INTERVAL).await;
    }
    Ok(())
}

/// Checks the stored data against everything that the clients have written so far. Returns what is wrong.
async fn check(system: &System, clients: &[Client]) -> Result<Vec<String>> {
    let seen = Observations::new(Tolerance::Nothing);
    let api = Api::new(system.urls())?;
    for process in 0..2 {
        let request = Request::new(Method::GET, "/ready", "");
        let response = api.send_to(process, &request, &seen).await;
        let status = response.map(|response| response.body["status"].clone());
        if status.as_ref().is_none_or(|status| status != "ready") {
            seen.violation(format!("process {process} is not ready: {status:?}"));
        }
    }
    join_all(clients.iter().map(|client| client.check(&seen))).await;
    let wrong_totals = system.wrong_totals().await?;
    if wrong_totals > 0 {
        seen.violation(format!(
            "the totals of {wrong_totals} users differ from a recount"
        ));
    }
    Ok(seen.into_violations())
}
