//! Child processes that end with this one, and what they print.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How often a child that is ending is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// What is kept of a child's output, in bytes. Enough for any test; a service that runs for weeks must not fill the memory.
const LOG_LIMIT: usize = 8 * 1024 * 1024;

/// Locks a mutex whose value stays whole even when a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything a child printed, both streams in the order of arrival.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
}

impl Log {
    pub(crate) fn push(&self, line: String) {
        let mut lines = lock(&self.0);
        lines.bytes += line.len() + 1;
        lines.kept.push_back(line);
        while lines.bytes > LOG_LIMIT {
            let Some(oldest) = lines.kept.pop_front() else {
                break;
            };
            lines.bytes -= oldest.len() + 1;
        }
    }

    /// All lines, each with its line break.
    pub(crate) fn text(&self) -> String {
        let lines = lock(&self.0);
        lines.kept.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The last `count` lines.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = lock(&self.0);
        let skipped = lines.kept.len().saturating_sub(count);
        let last: Vec<&str> = lines
            .kept
            .iter()
            .skip(skipped)
            .map(String::as_str)
            .collect();
        last.join("\n")
    }

    /// What `pick` makes of the first line it accepts.
    pub(crate) fn find<T>(&self, pick: impl FnMut(&String) -> Option<T>) -> Option<T> {
        lock(&self.0).kept.iter().find_map(pick)
    }

    /// Follows a stream until its end. `heard` sees each line before it is kept.
    pub(crate) fn follow(
        &self,
        stream: impl Read + Send + 'static,
        heard: impl Fn(&str) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end_matches('\r').to_owned();
                heard(&line);
                log.push(line);
            }
        })
    }
}

/// A child that leads its own process group, so that Ctrl-C in the terminal
/// reaches only us and we end things in the right order.
pub(crate) struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts `command`. When this process ends, however it does, the child gets `farewell` (on Linux).
    pub(crate) fn start(mut command: Command, farewell: Signal) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        command.stdin(Stdio::null()).process_group(0);
        let program = command.get_program().to_owned();
        let child = spawn(command, farewell)
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, ended: None })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The output streams, where they were piped; once each.
    pub(crate) fn take_output(
        &mut self,
    ) -> (
        Option<std::process::ChildStdout>,
        Option<std::process::ChildStderr>,
    ) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It may have ended just now; then there is nothing to do.
            let _ = kill(process_id(self.child.id()), signal);
        }
    }

    /// Asks it to end and waits; after `patience` it is killed.
    pub(crate) async fn stop(mut self, signal: Signal, patience: Duration) {
        self.signal(signal);
        let deadline = Instant::now() + patience;
        while self.ended().is_none() && Instant::now() < deadline {
            tokio::time::sleep(GLANCE).await;
        }
        self.kill();
    }

    /// As [`stop`](Self::stop), without a runtime to wait on.
    pub(crate) fn stop_blocking(mut self, signal: Signal, patience: Duration) {
        self.signal(signal);
        let deadline = Instant::now() + patience;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
        self.kill();
    }

    /// Kills it with its process group, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let group = process_id(self.child.id());
        if self.ended().is_none() {
            let _ = killpg(group, Signal::SIGKILL);
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process id as the system calls want it.
pub(crate) fn process_id(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Whether a process with this id exists.
pub(crate) fn is_alive(id: u32) -> bool {
    !matches!(kill(process_id(id), None), Err(nix::Error::ESRCH))
}

/// The command line of a process, or nothing when it is gone.
pub(crate) fn command_line(id: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let output = Command::new("ps")
        .args(["-o", "command=", "-p", &id.to_string()])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The children of a process.
pub(crate) fn children(id: u32) -> Vec<u32> {
    if !cfg!(target_os = "linux") {
        let output = Command::new("pgrep").args(["-P", &id.to_string()]).output();
        let listed = output.map(|output| output.stdout).unwrap_or_default();
        return String::from_utf8_lossy(&listed)
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect();
    }
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| parent(*child) == Some(id))
        .collect()
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    parent_in_stat(&stat)
}

/// The second field after the program's name, which may itself hold blanks and parentheses.
fn parent_in_stat(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Starts a process that gets `farewell` when this one ends. Its group is the caller's choice.
///
/// Linux sends that signal when the *thread* that started the child ends, and
/// threads of a test or of an async runtime come and go; so one thread, which
/// lives as long as the process, starts them all.
pub(crate) fn spawn(mut command: Command, farewell: Signal) -> io::Result<Child> {
    type Order = (Command, SyncSender<io::Result<Child>>);
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();

    end_with_parent(&mut command, farewell);
    let starter = STARTER.get_or_init(|| {
        let (orders, arriving) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in arriving {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, started) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the thread that starts processes has ended");
    starter.send((command, reply)).map_err(|_| gone(()))?;
    started.recv().map_err(|_| gone(()))?
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "only the child itself can ask for the signal, between fork and exec"
)]
fn end_with_parent(command: &mut Command, farewell: Signal) {
    use std::os::unix::process::{CommandExt, parent_id};
    let parent = std::process::id();
    // SAFETY: both are plain system calls, which may be made between fork and exec; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(farewell)?;
            // The parent may have ended before the line above.
            if parent_id() == parent {
                Ok(())
            } else {
                Err(io::ErrorKind::Interrupted.into())
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command, _farewell: Signal) {}

/// The signals that ask us to end.
pub(crate) struct Ending([tokio::signal::unix::Signal; 3]);

impl Ending {
    /// From now on the signals end nothing by themselves.
    pub(crate) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next of them.
    pub(crate) async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The last lines of a server's log file, which say why it does not run; empty where there is none.
pub fn tail(log_file: &std::path::Path) -> String {
    let log = std::fs::read_to_string(log_file).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_program_name() {
        assert_eq!(parent_in_stat("12 (postgres) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in_stat("12 (a) b) (c) S 8 12"), Some(8));
        assert_eq!(parent_in_stat("12"), None);
    }

    #[test]
    fn children_are_found() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let running = Running::start(command, Signal::SIGKILL).unwrap();
        assert!(children(std::process::id()).contains(&running.pid()));
        assert!(command_line(running.pid()).unwrap().contains("sleep"));
        let pid = running.pid();
        drop(running);
        assert!(!children(std::process::id()).contains(&pid));
    }

    #[test]
    fn a_child_survives_the_thread_that_asked_for_it() {
        let mut running = thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("60");
            Running::start(command, Signal::SIGKILL).unwrap()
        })
        .join()
        .unwrap();
        thread::sleep(Duration::from_millis(100));
        assert_eq!(running.ended(), None);
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let log = Log::default();
        for number in 0..200_000 {
            log.push(format!("{number:0100}"));
        }
        assert!(log.text().len() <= LOG_LIMIT);
        assert!(log.tail(1).ends_with("199999"));
        assert!(log.tail(2).starts_with('0'));
    }
}
