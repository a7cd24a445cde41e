//! Memory of a runtime: all its processes, as the system counts them.

use std::pin::pin;
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use testbed::process::descendants;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// Runs `work`, and returns the peak resident memory in KiB of the process and its descendants during that time.
pub async fn peak_while<T>(pid: u32, work: impl Future<Output = T>) -> (T, u64) {
    // `spin up` serves in a child process, and starts no other while it serves.
    let mut pids = vec![Pid::from_u32(pid)];
    pids.extend(descendants(pid).into_iter().map(Pid::from_u32));
    let mut system = System::new().ok();
    let mut work = pin!(work);
    let mut peak = 0;
    loop {
        tokio::select! {
            done = &mut work => return (done, peak),
            () = tokio::time::sleep(SAMPLE_INTERVAL) => {
                let now = system.as_mut().map(|system| resident(system, &pids));
                peak = peak.max(now.unwrap_or_default());
            }
        }
    }
}

fn resident(system: &mut System, pids: &[Pid]) -> u64 {
    let memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(pids), true, memory);
    let processes = pids.iter().filter_map(|pid| system.process(*pid));
    processes.map(|process| process.memory() / 1024).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn measures_memory_that_is_held() {
        let (held, peak) = peak_while(std::process::id(), async {
            // The system provides memory when it is written to.
            let held = vec![7_u8; 64 * 1024 * 1024];
            tokio::time::sleep(SAMPLE_INTERVAL * 3).await;
            held
        })
        .await;
        assert!(peak > 64 * 1024, "{peak} KiB, {} bytes held", held.len());
    }
}
