//! A description of the machine that a benchmark runs on.

use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
use testbed::database;
use testbed::load::Generator;
use testbed::runtime::Kind;

/// Returns date, machine, versions, and the load of the machine at the start, in sentences.
pub async fn describe(kind: Kind, database_url: &str, generator: &Generator) -> Result<String> {
    let query = "select to_char(now() at time zone 'utc', 'YYYY-MM-DD'), split_part(current_setting('server_version'), ' ', 1)";
    let row = database::connect(database_url)
        .await?
        .query_one(query, &[])
        .await?;
    let (date, postgres): (String, String) = (row.get(0), row.get(1));
    let cores = available_parallelism().map_or(1, usize::from);
    let processor = CpuRefreshKind::nothing();
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(
        RefreshKind::nothing()
            .with_cpu(processor)
            .with_memory(memory),
    )?;
    let processor = system
        .cpus()
        .first()
        .map(|cpu| cpu.brand().trim().to_owned());
    Ok(format!(
        "Measured on {date} with {} on {cores} cores ({}) of {} {} with {} GiB of memory,\n\
        shared with Postgres {postgres}, Redis and the load generator ({}). The load average was {:.2} when the measurements began.",
        version(kind),
        processor.unwrap_or_default(),
        std::env::consts::OS,
        std::env::consts::ARCH,
        system.total_memory().div_ceil(1024 * 1024 * 1024),
        generator.version().await,
        // More than about 0 means that the machine was doing other work.
        System::load_average()?.one,
    ))
}

fn version(kind: Kind) -> String {
    match kind {
        Kind::Embedded => format!("the embedded host {}", env!("CARGO_PKG_VERSION")),
        Kind::Spin => {
            let output = Command::new("spin").arg("--version").output();
            let printed = output.map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&printed).trim().to_owned()
        }
    }
}
