//! Starts the host, or the Spin named by `TEST_RUNTIME`, and ends it with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{self, Answer};

/// How long anything here may take: Spin compiles the probe at its first start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running application.
pub struct Runtime {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its stdout and stderr so far.
    pub output: Arc<Mutex<String>>,
    /// Its state folder.
    pub state: PathBuf,
}

/// How to start an application.
pub struct Start {
    command: Command,
    state: PathBuf,
}

/// The address in the environment variable `name`.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `cargo xtask test`, or set it")
    })
}

/// `host:port` in a URL like `redis://user:password@host:port/path`.
pub fn authority(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// Whether the tests run on Spin itself.
pub fn is_spin() -> bool {
    std::env::var_os("TEST_RUNTIME").is_some()
}

/// The probe as a component; tests that write a manifest of their own use it.
pub fn probe_wasm() -> PathBuf {
    let wasm =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip2/release/probe.wasm");
    assert!(
        wasm.is_file(),
        "{} is missing: run `cargo xtask build` or \
         `cargo build --release --target wasm32-wasip2 --package probe`",
        wasm.display()
    );
    wasm
}

impl Start {
    /// The probe's own manifest with the test's database and Redis.
    pub fn probe() -> Self {
        probe_wasm();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/spin.toml");
        let (database, redis) = (setting("TEST_DATABASE_URL"), setting("TEST_REDIS_URL"));
        Self::manifest(&manifest)
            .variable("database_url", &database)
            .variable("database_host", &authority(&database))
            .variable("redis_url", &redis)
            .variable("redis_host", &authority(&redis))
    }

    /// Any manifest, on a free port.
    pub fn manifest(path: &Path) -> Self {
        Self::listening(path, "127.0.0.1:0")
    }

    fn listening(path: &Path, address: &str) -> Self {
        let binary = std::env::var_os("TEST_RUNTIME");
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_host").into());
        let state = new_folder("state");
        let mut command = Command::new(binary);
        command.arg("up").arg("--from").arg(path);
        command
            .args(["--listen", address, "--state-dir"])
            .arg(&state);
        // What the developer has set for other runs must not matter, here or in a dotenv file.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPIN_") {
                command.env_remove(name);
            }
        }
        command.current_dir(&state);
        Self { command, state }
    }

    /// A manifest with this text, in a folder of its own.
    pub fn text(manifest: &str) -> Self {
        Self::text_on(manifest, "127.0.0.1:0")
    }

    /// A manifest with this text, to listen on `address`.
    pub fn text_on(manifest: &str, address: &str) -> Self {
        let path = new_folder("app").join("spin.toml");
        std::fs::write(&path, manifest).expect("a temporary folder is writable");
        Self::listening(&path, address)
    }

    /// Gives an application variable a value on the command line.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command
            .arg("--variable")
            .arg(format!("{name}={value}"));
        self
    }

    /// Adds an option to the command line.
    pub fn option(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(name).arg(value);
        self
    }

    /// Adds a flag to the command line.
    pub fn flag(mut self, name: &str) -> Self {
        self.command.arg(name);
        self
    }

    /// Adds an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the folder where the runtime is started.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.state.join(name), text).expect("a temporary folder is writable");
        self
    }

    /// Starts it and waits until it listens.
    pub fn serve(mut self) -> Runtime {
        let mut child = self.piped().spawn().expect("the runtime can be started");
        let output = Arc::new(Mutex::new(String::new()));
        collect(
            child.stdout.take().expect("stdout is a pipe"),
            output.clone(),
        );
        collect(
            child.stderr.take().expect("stderr is a pipe"),
            output.clone(),
        );
        let address = wait_for(|| {
            let output = output.lock().expect("no thread panics");
            let ended = child.try_wait().expect("it is a child");
            assert!(ended.is_none(), "the runtime ended: {output}");
            let (_, address) = output.split_once("Serving http://")?;
            address.split_once('\n')?.0.trim().parse().ok()
        });
        let address = address.expect("the runtime listens in time");
        Runtime {
            child,
            address,
            output,
            state: self.state,
        }
    }

    /// Starts it and waits for its end.
    pub fn fail(mut self) -> Output {
        let output = self.piped().output().expect("the runtime can be started");
        assert!(
            !output.status.success(),
            "it ends with an error: {output:?}"
        );
        output
    }

    fn piped(&mut self) -> &mut Command {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped())
    }
}

impl Runtime {
    /// Sends a GET request.
    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, "", "")
    }

    /// Sends a POST request with a body.
    pub fn post(&self, target: &str, body: &str) -> Answer {
        self.request("POST", target, "", body)
    }

    /// Sends a request with header lines that end in CRLF each.
    pub fn request(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let answer = client::send(self.address, method, target, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Waits until the runtime's output contains `text`.
    pub fn wait_for_output(&self, text: &str) {
        let found = wait_for(|| {
            let output = self.output.lock().expect("no thread panics");
            output.contains(text).then_some(())
        });
        assert!(
            found.is_some(),
            "no {text:?} in {}",
            self.output.lock().expect("no thread panics")
        );
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill exists").success(), "it was running");
        let ended = wait_for(|| self.child.try_wait().expect("it is a child"));
        assert!(ended.is_some(), "it ends in time");
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SIGTERM rather than SIGKILL: Spin has to end a child of its own.
        let pid = self.child.id().to_string();
        if matches!(self.child.try_wait(), Ok(None)) {
            _ = Command::new("kill").args(["-TERM", &pid]).status();
            _ = self.child.wait();
        }
        _ = std::fs::remove_dir_all(&self.state);
    }
}

/// Asks again until there is a value or patience ends.
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(value) = ask() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
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

fn new_folder(purpose: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("host-test-{}-{count}-{purpose}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}
