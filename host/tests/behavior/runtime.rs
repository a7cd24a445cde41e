//! Starts the host, or the Spin named by `TEST_RUNTIME`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{self, Response};

/// How long a start may take. Spin compiles the probe at its first one.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running application, ended when dropped.
pub struct Runtime {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    output: Arc<Mutex<String>>,
    /// Its state folder, which is its working directory as well.
    pub folder: TempDir,
}

/// The command that starts an application.
pub struct Start {
    command: Command,
    folder: TempDir,
    with_logs: bool,
}

/// Returns the environment variable `name`.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `cargo xtask test`, or set it")
    })
}

/// Returns `host:port` of a URL.
pub fn authority(url: &str) -> String {
    let url: url::Url = url.parse().expect("the setting is a URL");
    let host = url.host_str().expect("the setting has a host");
    let port = url.port().expect("the setting has a port");
    format!("{host}:{port}")
}

/// Returns whether the tests run on Spin.
pub fn is_spin() -> bool {
    std::env::var_os("TEST_RUNTIME").is_some()
}

/// Returns the path of a file in the probe's workspace.
fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns a manifest with one component, the probe, at `route`.
pub fn probe_manifest(route: &str) -> String {
    let wasm = workspace("target/wasm32-wasip2/release/probe.wasm");
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
         [[trigger.http]]\nroute = \"{route}\"\ncomponent = \"probe\"\n\
         [component.probe]\nsource = {wasm:?}\n"
    )
}

impl Start {
    /// Starts the probe's own manifest, with the test's database and Redis.
    pub fn probe() -> Self {
        let (database, redis) = (setting("TEST_DATABASE_URL"), setting("TEST_REDIS_URL"));
        Self::manifest(&workspace("host/probe/spin.toml"))
            .variable("database_url", &database)
            .variable("database_host", &authority(&database))
            .variable("redis_url", &redis)
            .variable("redis_host", &authority(&redis))
    }

    /// Starts the manifest at `path` on a free port.
    pub fn manifest(path: &Path) -> Self {
        let program = std::env::var_os("TEST_RUNTIME");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_host").into());
        let folder = TempDir::new().expect("the temporary folder is writable");
        let mut command = Command::new(program);
        command.arg("up").arg("--from").arg(path);
        // Settings of the developer must not matter, neither here nor in a dotenv file.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPIN_") {
                command.env_remove(name);
            }
        }
        command.current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let with_logs = true;
        Self {
            command,
            folder,
            with_logs,
        }
    }

    /// Starts a manifest with this text.
    pub fn text(manifest: &str) -> Self {
        let start = Self::manifest(Path::new("app.toml"));
        start.file("app.toml", manifest)
    }

    /// Sets an application variable on the command line.
    pub fn variable(self, name: &str, value: &str) -> Self {
        self.option("--variable", format!("{name}={value}"))
    }

    /// Adds an option to the command line.
    pub fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.arg(name).arg(value);
        self
    }

    /// Writes no log files.
    pub fn without_logs(mut self) -> Self {
        self.with_logs = false;
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the working directory.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(path, text).expect("the temporary folder is writable");
        self
    }

    /// Uses a runtime configuration with this text.
    pub fn runtime_config(self, text: &str) -> Self {
        self.file("runtime.toml", text)
            .option("--runtime-config-file", "runtime.toml")
    }

    /// Starts the application and waits until it listens.
    pub fn serve(self) -> Runtime {
        let mut start = self.option("--listen", "127.0.0.1:0").set_state_folder();
        let child = start.command.spawn();
        let mut child = child.expect("the runtime can be started");
        let output = Arc::new(Mutex::new(String::new()));
        collect(
            child.stdout.take().expect("stdout is a pipe"),
            output.clone(),
        );
        collect(
            child.stderr.take().expect("stderr is a pipe"),
            output.clone(),
        );
        let address = wait_for("the runtime to listen", || {
            let output = output.lock().expect("no thread panics");
            let ended = child.try_wait().expect("the child can be waited for");
            assert!(ended.is_none(), "the runtime ended: {output}");
            let (_, address) = output.split_once("Serving http://")?;
            address.split_once('\n')?.0.trim().parse().ok()
        });
        Runtime {
            child,
            address,
            output,
            folder: start.folder,
        }
    }

    /// Starts the application, which must fail before it listens, and returns what it printed.
    pub fn fail(self) -> String {
        let output = self.set_state_folder().command.output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.expect("the runtime can be started");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(!String::from_utf8_lossy(&stdout).contains("Serving"));
        stderr
    }

    /// Passes the working directory as state folder, or none.
    fn set_state_folder(self) -> Self {
        let folder = if self.with_logs { "." } else { "" };
        self.option("--state-dir", folder)
    }
}

impl Runtime {
    /// Sends a GET request.
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target, "", "")
    }

    /// Sends a POST request.
    pub fn post(&self, target: &str, body: &str) -> Response {
        self.request("POST", target, "", body)
    }

    /// Sends a request. Each of `headers` ends in CRLF.
    pub fn request(&self, method: &str, target: &str, headers: &str, body: &str) -> Response {
        let response = client::send(self.address, method, target, headers, body);
        response.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Returns what the runtime has printed.
    pub fn output(&self) -> String {
        self.output.lock().expect("no thread panics").clone()
    }

    /// Waits until the runtime has printed `text`.
    pub fn wait_for_output(&self, text: &str) {
        wait_for(text, || self.output().contains(text).then_some(()));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the runtime is running");
    }

    /// Waits until the runtime has ended and returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        wait_for("the runtime to end", || {
            self.child.try_wait().expect("the child can be waited for")
        })
        .code()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Not with SIGKILL, since Spin has to end a child of its own.
        if matches!(self.child.try_wait(), Ok(None)) {
            _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            _ = self.child.wait();
        }
    }
}

/// Polls until there is a value.
pub fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().expect("no thread panics");
            output.push_str(&line);
            output.push('\n');
        }
    });
}
