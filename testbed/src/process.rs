//! Child processes that end with this one, and what they print.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
pub use nix::sys::signal::Signal;
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::lock;

/// How often a child is checked for having exited.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes of a child's output that are kept: more than any test prints, and a bound for a service that runs for weeks.
const LOG_LIMIT: usize = 8 * 1024 * 1024;

/// The output of a child, both streams in the order of arrival.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
}

impl Log {
    /// Appends a line, and drops the oldest ones beyond the limit.
    pub fn push(&self, line: String) {
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

    /// Returns all lines, each with its line break.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = lock(&self.0);
        lines.kept.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Returns the last `count` lines.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        tail(&self.text(), count)
    }

    /// Returns the first `Some` that `pick` returns for a line.
    pub fn find<T>(&self, pick: impl FnMut(&String) -> Option<T>) -> Option<T> {
        lock(&self.0).kept.iter().find_map(pick)
    }

    /// Reads a stream to its end on a thread of its own, and calls `on_line` with each line.
    fn follow(
        &self,
        stream: impl Read + Send + 'static,
        on_line: impl Fn(&str) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end_matches('\r').to_owned();
                on_line(&line);
                log.push(line);
            }
        })
    }
}

/// Returns the last `count` lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A child process that leads a process group of its own; killed with its group when dropped.
///
/// Ctrl-C in a terminal signals the foreground group only, so children see nothing of
/// it, and this process stops them in the right order.
pub struct ChildProcess {
    child: Child,
    status: Option<ExitStatus>,
}

impl ChildProcess {
    /// Starts `command`. On Linux the child gets `on_parent_exit` when this process ends, even by SIGKILL.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command, on_parent_exit: Signal) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let program = command.get_program().to_owned();
        let child = spawn(command, on_parent_exit)
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            child,
            status: None,
        })
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Copies the piped output streams into logs, and calls `on_line` with each line and whether it is
    /// of standard error. The returned threads end with the streams.
    pub fn follow_output(
        &mut self,
        [stdout_log, stderr_log]: [&Log; 2],
        on_line: impl Fn(&str, bool) + Clone + Send + 'static,
    ) -> Vec<thread::JoinHandle<()>> {
        let (on_stdout, on_stderr) = (on_line.clone(), on_line);
        let stdout = self.child.stdout.take();
        let stdout =
            stdout.map(|stream| stdout_log.follow(stream, move |line| on_stdout(line, false)));
        let stderr = self.child.stderr.take();
        let stderr =
            stderr.map(|stream| stderr_log.follow(stream, move |line| on_stderr(line, true)));
        stdout.into_iter().chain(stderr).collect()
    }

    /// Returns its exit status, if it has exited.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits until it exits.
    pub async fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends `signal`, waits for at most `timeout`, and kills it if it still runs. Blocks.
    pub fn stop_blocking(mut self, signal: Signal, timeout: Duration) {
        if self.status().is_none() {
            // An error means that it has just exited.
            let _ = kill(process_id(self.pid()), signal);
        }
        let deadline = Instant::now() + timeout;
        while self.status().is_none() && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// As [`stop_blocking`](Self::stop_blocking), without blocking a thread of the runtime.
    pub async fn stop(self, signal: Signal, timeout: Duration) {
        let _ = tokio::task::spawn_blocking(move || self.stop_blocking(signal, timeout)).await;
    }

    /// Kills it, its process group and its child processes, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.status().is_some() {
            return;
        }
        // The children of Postgres lead groups of their own, which killing the group would miss.
        let descendants = descendants(self.pid());
        let _ = killpg(process_id(self.pid()), Signal::SIGKILL);
        for pid in descendants {
            let _ = kill(process_id(pid), Signal::SIGKILL);
        }
        self.status = self.child.wait().ok();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Converts a process id for system calls.
pub(crate) fn process_id(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Returns the command line of a process, with blanks between its arguments; none when there is no such process.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let pid = sysinfo::Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let with_command = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, with_command);
    let words = system.process(pid)?.cmd().iter();
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    Some(words.join(" "))
}

/// Returns the ids of a process's children, their children, and so on.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let Ok(mut system) = System::new() else {
        return Vec::new();
    };
    // Threads would count as children.
    let parents_only = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, parents_only);
    let mut found = vec![sysinfo::Pid::from_u32(pid)];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let all = system.processes().values();
        let children = all.filter(|process| process.parent() == Some(parent));
        found.extend(children.map(sysinfo::Process::pid));
        next += 1;
    }
    found.iter().skip(1).map(|pid| pid.as_u32()).collect()
}

/// Starts a process that gets `on_parent_exit` when this one ends.
///
/// Linux sends that signal when the *thread* that started the child exits, and threads
/// of a test or of an async runtime come and go. So one thread, which lives as long as
/// this process, starts all children.
fn spawn(mut command: Command, on_parent_exit: Signal) -> io::Result<Child> {
    type Request = (Command, SyncSender<io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();

    signal_on_parent_exit(&mut command, on_parent_exit);
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in requests {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, started) = mpsc::sync_channel(1);
    let ended = || io::Error::other("the thread that starts processes has ended");
    spawner.send((command, reply)).map_err(|_| ended())?;
    started.recv().map_err(|_| ended())?
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "only the child itself can ask for the signal, between fork and exec"
)]
fn signal_on_parent_exit(command: &mut Command, signal: Signal) {
    use std::os::unix::process::parent_id;
    let parent = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe, and nothing allocates between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
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
fn signal_on_parent_exit(_command: &mut Command, _signal: Signal) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleep() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    #[test]
    fn finds_children_and_their_command_lines() {
        let child = ChildProcess::start(sleep(), Signal::SIGKILL).unwrap();
        let pid = child.pid();
        assert!(descendants(std::process::id()).contains(&pid));
        assert_eq!(command_line(pid).as_deref(), Some("sleep 60"));
        drop(child);
        assert!(!descendants(std::process::id()).contains(&pid));
        assert_eq!(command_line(pid), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_are_no_children() {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || stopped.recv());
        let tasks = std::path::Path::new("/proc/self/task");
        let children = descendants(std::process::id());
        assert!(std::fs::read_dir(tasks).unwrap().count() > 1);
        assert!(
            !children
                .iter()
                .any(|id| tasks.join(id.to_string()).exists())
        );
        drop(stop);
        assert!(thread.join().unwrap().is_err());
    }

    #[test]
    fn a_child_survives_the_thread_that_started_it() {
        let start = || ChildProcess::start(sleep(), Signal::SIGKILL).unwrap();
        let mut child = thread::spawn(start).join().unwrap();
        thread::sleep(Duration::from_millis(100));
        assert_eq!(child.status(), None);
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let log = Log::default();
        for number in 0..200_000 {
            log.push(format!("{number:0100}"));
        }
        assert!(log.text().len() <= LOG_LIMIT);
        assert_eq!(log.tail(1), format!("{:0100}", 199_999));
    }
}
