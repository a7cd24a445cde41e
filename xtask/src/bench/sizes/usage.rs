//! Processor time and memory of processes, and connections to Postgres, while a measurement runs.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use testbed::{database, process};

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a process and its descendants have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, in seconds per second.
    pub cores: f64,
    /// Peak memory in KiB. Memory that several processes share is counted once.
    pub memory: u64,
}

/// Runs `work`. Returns what the processes have used in that time, and the most connections to the database.
pub async fn during<T, const N: usize>(
    work: impl Future<Output = T>,
    pids: [Option<u32>; N],
    database_url: &str,
) -> Result<(T, [Usage; N], i64)> {
    let count = "-- bench::usage::during()
        select count(*) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    let database = database::connect(database_url).await?;
    let begun = Instant::now();
    let before = times(&pids)?;
    let mut latest = before.clone();
    let mut memory = [0; N];
    let mut connections = 0;
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = tokio::time::sleep(SAMPLE_INTERVAL) => {
                connections = database.query_one(count, &[]).await?.get::<_, i64>(0).max(connections);
                // A process that ends keeps the time that it has used.
                for (latest, now) in latest.iter_mut().zip(times(&pids)?) {
                    latest.extend(now);
                }
                for (memory, latest) in memory.iter_mut().zip(&latest) {
                    let now = latest.keys().filter_map(|pid| resident(*pid));
                    *memory = now.sum::<u64>().max(*memory);
                }
            }
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let used = std::array::from_fn(|index| {
        let used = latest[index].iter().map(|(pid, time)| {
            time.saturating_sub(before[index].get(pid).copied().unwrap_or_default())
        });
        Usage {
            cores: used.sum::<u64>() as f64 / 1e3 / seconds,
            memory: memory[index],
        }
    });
    Ok((done, used, connections))
}

/// Returns the processor times in milliseconds of each process with its descendants.
fn times<const N: usize>(pids: &[Option<u32>; N]) -> Result<Vec<HashMap<u32, u64>>> {
    let mut system = System::new()?;
    let cpu = ProcessRefreshKind::nothing().with_cpu().without_tasks();
    let mut times = Vec::new();
    for pid in pids {
        let mut family: Vec<Pid> = pid.iter().map(|pid| Pid::from_u32(*pid)).collect();
        family.extend(
            pid.iter()
                .flat_map(|pid| process::descendants(*pid))
                .map(Pid::from_u32),
        );
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&family), true, cpu);
        let time = |pid: &Pid| Some((pid.as_u32(), system.process(*pid)?.accumulated_cpu_time()));
        times.push(family.iter().filter_map(time).collect());
    }
    Ok(times)
}

/// Returns the proportional set size of a process in KiB, which only Linux counts.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
