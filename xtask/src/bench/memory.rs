//! How much memory a runtime holds: all its processes, as the system counts them.

use std::fs;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use crate::process::children;

const GLANCE: Duration = Duration::from_millis(100);

/// Does `work`, and gives the most KiB that the process and those below it held resident meanwhile.
pub async fn peak_while<T>(process: u32, work: impl Future<Output = T>) -> (T, u64) {
    // `spin up` serves in a child of itself. None are added while it serves.
    let processes = tree(process);
    let mut work = pin!(work);
    let mut peak = 0;
    loop {
        tokio::select! {
            done = &mut work => return (done, peak),
            () = tokio::time::sleep(GLANCE) => {
                peak = peak.max(processes.iter().copied().map(resident).sum());
            }
        }
    }
}

fn tree(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children(parent));
        next += 1;
    }
    found
}

/// KiB that a process holds resident; nothing when it is gone.
fn resident(process: u32) -> u64 {
    if cfg!(target_os = "linux") {
        let status = fs::read_to_string(format!("/proc/{process}/status"));
        return status
            .ok()
            .and_then(|status| kib(&status, "VmRSS:"))
            .unwrap_or_default();
    }
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &process.to_string()])
        .output();
    let printed = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&printed)
        .trim()
        .parse()
        .unwrap_or_default()
}

/// The number after `name` in what the kernel tells of a process or of the machine.
pub fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_their_full_name() {
        let status = "Name:\thost\nVmHWM:\t  250000 kB\nVmRSS:\t  200000 kB\nThreads:\t4\n";
        assert_eq!(kib(status, "VmRSS:"), Some(200_000));
        assert_eq!(kib(status, "VmSwap:"), None);
        assert_eq!(kib(status, "Threads:"), None);
    }

    #[tokio::test]
    async fn memory_that_is_held_is_seen() {
        let (held, peak) = peak_while(std::process::id(), async {
            // Written to, for the system gives memory only then.
            let held = vec![7_u8; 64 * 1024 * 1024];
            tokio::time::sleep(GLANCE * 3).await;
            held
        })
        .await;
        assert!(peak > 64 * 1024, "{peak} KiB, {} bytes held", held.len());
    }
}
