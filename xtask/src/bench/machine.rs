//! Where it was measured, in a few sentences.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use sqlx::{Connection, PgConnection};

use super::load::Generator;
use super::memory::kib;
use super::stage::Stage;
use crate::runtime::Kind;

/// Day, machine, versions, and how busy the machine was before.
///
/// # Errors
/// When the database does not answer.
pub async fn describe(kind: Kind, stage: &Stage, generator: &Generator) -> Result<String> {
    // It has the calendar, too.
    let mut connection = PgConnection::connect(&stage.servers.database).await?;
    let (day, postgres): (String, String) = sqlx::query_as(
        "select to_char(now() at time zone 'utc', 'YYYY-MM-DD'), split_part(current_setting('server_version'), ' ', 1)",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let cores = available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "Measured on {day} with {} on {cores} cores{} of {} {}{},\n\
        shared with Postgres {postgres}, Redis and the load generator ({}).{}",
        runtime(kind),
        processor(),
        std::env::consts::OS,
        std::env::consts::ARCH,
        memory(),
        generator.version().await,
        load_before(),
    ))
}

fn runtime(kind: Kind) -> String {
    match kind {
        Kind::Embedded => format!("the embedded host {}", env!("CARGO_PKG_VERSION")),
        Kind::Spin => printed("spin", &["--version"]).unwrap_or_else(|| "spin".into()),
    }
}

fn processor() -> String {
    let name = if cfg!(target_os = "linux") {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        value(&text, "model name").map(str::to_owned)
    } else {
        printed("sysctl", &["-n", "machdep.cpu.brand_string"])
    };
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

fn memory() -> String {
    let kib = if cfg!(target_os = "linux") {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        kib(&text, "MemTotal:")
    } else {
        let bytes = printed("sysctl", &["-n", "hw.memsize"]);
        bytes
            .and_then(|bytes| bytes.parse::<u64>().ok())
            .map(|bytes| bytes / 1024)
    };
    kib.map(|kib| format!(" with {} GiB of memory", kib.div_ceil(1024 * 1024)))
        .unwrap_or_default()
}

/// More than about nothing means that the figures are those of a shared machine.
fn load_before() -> String {
    let average = if cfg!(target_os = "linux") {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split_ascii_whitespace().next().map(str::to_owned)
    } else {
        None
    };
    average
        .map(|average| format!(" The load average was {average} when the measurements began."))
        .unwrap_or_default()
}

/// The value in the first line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found_by_its_full_name() {
        let text = "model\t\t: 85\nmodel name\t: Some CPU @ 2.00GHz\nstepping\t: 7\n";
        assert_eq!(value(text, "model name"), Some("Some CPU @ 2.00GHz"));
        assert_eq!(value(text, "name"), None);
    }
}
