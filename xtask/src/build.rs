//! Builds the components and the embedded host; cargo decides what is outdated.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::apt::{self, find_program};
use crate::debian_wasm;
use crate::process::{Log, lock, spawn};
use crate::progress::{Progress, Step};

/// Every package that becomes a `.wasm`: the service's four, and the one that the host's tests and the benchmark ask.
pub const COMPONENTS: [&str; 5] = ["auth", "entries", "sentiment", "system", "probe"];

const TARGET: &str = "wasm32-wasip2";
/// A server that swallows packets must not stop us for ever.
const TARGET_WITHIN: Duration = Duration::from_secs(300);

/// Build the components' .wasm files into target/wasm32-wasip2/release
///
/// Adds the target wasm32-wasip2 to the toolchain where it is missing.
///
/// Example: cargo xtask build
#[derive(clap::Args)]
pub struct Args {
    /// Where the target comes from
    #[arg(long, value_enum, default_value_t, env = "XTASK_TOOLCHAIN")]
    toolchain: Toolchain,
}

/// Where the standard library for the target comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Toolchain {
    /// The installed toolchain or rustup; Debian's packages where neither has it
    #[default]
    Auto,
    /// The installed toolchain or rustup
    Rustup,
    /// Debian's packages
    Debian,
}

/// `cargo xtask build`.
///
/// # Errors
/// When the target cannot be had or a component does not compile.
pub fn run(arguments: &Args) -> Result<()> {
    build_components(&Progress::new(), arguments.toolchain)?;
    for name in COMPONENTS {
        let file = component(name);
        let size = std::fs::metadata(&file)
            .map(|data| data.len())
            .unwrap_or_default();
        let shown = file.strip_prefix(crate::workspace()).unwrap_or(&file);
        println!("{} ({} KiB)", shown.display(), size / 1024);
    }
    Ok(())
}

/// The file of a built component.
#[must_use]
pub fn component(name: &str) -> PathBuf {
    target_dir().join(format!("{TARGET}/release/{name}.wasm"))
}

/// Where `spin.toml` looks for the components, whatever `CARGO_TARGET_DIR` says.
fn target_dir() -> PathBuf {
    crate::workspace().join("target")
}

/// Builds all components, with the toolchain that `XTASK_TOOLCHAIN` names or the first that has the target. Blocks.
///
/// # Errors
/// As [`run`].
pub fn components(progress: &Progress) -> Result<()> {
    let toolchain = std::env::var("XTASK_TOOLCHAIN").unwrap_or_default();
    build_components(
        progress,
        clap::ValueEnum::from_str(&toolchain, true).unwrap_or_default(),
    )
}

fn build_components(progress: &Progress, toolchain: Toolchain) -> Result<()> {
    let debian = match toolchain {
        Toolchain::Debian => Some(debian_wasm::prepare(progress)?),
        _ if has_target() => None,
        Toolchain::Rustup => {
            add_target(progress)?;
            None
        }
        Toolchain::Auto => match debian_wasm::prepared() {
            Some(prepared) => Some(prepared),
            None => match add_target(progress) {
                Ok(()) => None,
                Err(error) if apt::is_ours() => {
                    eprintln!("{error:#}\nGoing on with Debian's packages instead.");
                    Some(debian_wasm::prepare(progress)?)
                }
                Err(error) => return Err(error),
            },
        },
    };
    let mut command = cargo();
    command
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(target_dir());
    for name in COMPONENTS {
        command.args(["--package", name]);
    }
    // Flags for the machine's own processor or linker make no sense for wasm, and
    // would replace those in .cargo/config.toml.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    if let Some(debian) = debian {
        debian.apply(&mut command);
    }
    run_cargo(command, &progress.step("Building the components"))?;
    Ok(())
}

/// Builds the embedded host and gives its path. Blocks; later calls of this process give the same path at once.
///
/// # Errors
/// When it does not compile.
pub fn host() -> Result<PathBuf> {
    host_with(&Progress::new())
}

/// As [`host`], with progress shown where the caller shows its own.
///
/// # Errors
/// As [`host`].
pub fn host_with(progress: &Progress) -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = lock(&BUILT);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = match std::env::var_os("XTASK_HOST") {
        Some(path) => PathBuf::from(path),
        None => build_host(progress)?,
    };
    Ok(built.insert(path).clone())
}

fn build_host(progress: &Progress) -> Result<PathBuf> {
    let mut command = cargo();
    // `--workspace` makes cargo choose the features of the dependencies as it does
    // for the tests, so that these need not compile all of them once more.
    command.args([
        "build",
        "--workspace",
        "--bin",
        "host",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let messages = run_cargo(command, &progress.step("Building the embedded host"))?;
    messages
        .lines()
        .filter_map(host_program)
        .next_back()
        .context(
            "cargo built the host, but did not say where: run `cargo build --workspace --bin host` to see",
        )
}

/// Builds all tests, and gives the path of the embedded host that was built along. Blocks.
///
/// # Errors
/// When something does not compile.
pub fn tests(progress: &Progress) -> Result<PathBuf> {
    let mut command = cargo();
    command.args([
        "test",
        "--workspace",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let messages = run_cargo(command, &progress.step("Building the tests"))?;
    match messages.lines().filter_map(host_program).next_back() {
        Some(path) => Ok(path),
        None => host_with(progress),
    }
}

/// The path of the embedded host in a message of cargo, if that is what the message is of.
fn host_program(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_host = message.pointer("/target/name")? == "host"
        && message.pointer("/target/kind/0")? == "bin"
        && message.pointer("/profile/test")? == false;
    is_host.then(|| Some(PathBuf::from(message.get("executable")?.as_str()?)))?
}

/// A call of the cargo that runs us, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace());
    // What cargo told us about ourselves is not true of the packages it builds now.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs cargo, showing what it compiles, and gives what it printed to standard output.
fn run_cargo(mut command: Command, step: &Step) -> Result<String> {
    let words: Vec<OsString> = command.get_args().map(ToOwned::to_owned).collect();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(command, Signal::SIGTERM).context("cannot start cargo")?;
    let (printed, messages) = (Log::default(), Log::default());
    let (status, ()) = std::thread::scope(|scope| {
        let mut followers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            followers.push(messages.follow(stdout, |_| {}));
        }
        let stderr = child.stderr.take();
        let watched = scope.spawn(|| follow_compiling(stderr, &printed, step));
        let status = child.wait();
        for follower in followers {
            let _ = follower.join();
        }
        let _ = watched.join();
        (status, ())
    });
    if status?.success() {
        return Ok(messages.text());
    }
    let call = words.join(&OsString::from(" "));
    bail!(
        "{}\n`cargo {}` failed: see above. Put it right and run the same command again",
        printed.tail(60),
        call.display()
    )
}

fn follow_compiling(stderr: Option<impl std::io::Read>, printed: &Log, step: &Step) {
    use std::io::{BufRead, BufReader};
    let Some(stderr) = stderr else { return };
    let mut announced = false;
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { break };
        let busy = line.trim_start();
        if ["Compiling", "Downloading", "Updating"]
            .iter()
            .any(|word| busy.starts_with(word))
            && !announced
        {
            step.announce();
            announced = true;
        }
        step.doing(busy);
        printed.push(line);
    }
}

/// Whether the compiler that cargo will call has a standard library for the target.
fn has_target() -> bool {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(crate::workspace())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success() && has_standard_library(Path::new(&folder))
}

fn has_standard_library(folder: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(folder) else {
        return false;
    };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Adds the target with rustup.
fn add_target(progress: &Progress) -> Result<()> {
    let advice = "install the Rust target wasm32-wasip2, as with `rustup target add wasm32-wasip2`";
    let Some(rustup) = find_program("rustup") else {
        bail!("The compiler has no target {TARGET}, and there is no rustup: {advice}");
    };
    let installed = Command::new(&rustup)
        .args(["target", "list", "--installed"])
        .current_dir(crate::workspace())
        .output();
    let listed = installed.map(|output| output.stdout).unwrap_or_default();
    if String::from_utf8_lossy(&listed)
        .lines()
        .any(|line| line.trim() == TARGET)
    {
        return Ok(());
    }
    let step = progress.step("Adding the target wasm32-wasip2");
    step.announce();
    let mut command = Command::new(&rustup);
    command
        .args(["target", "add", TARGET])
        .current_dir(crate::workspace())
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = spawn(command, Signal::SIGTERM).context("cannot start rustup")?;
    let printed = Log::default();
    let follower = child
        .stderr
        .take()
        .map(|stderr| printed.follow(stderr, |_| {}));
    let deadline = Instant::now() + TARGET_WITHIN;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!(
                "rustup could not fetch the target {TARGET} in {} s: is its server within reach? Then {advice}",
                TARGET_WITHIN.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let _ = follower.map(std::thread::JoinHandle::join);
    if !status.success() {
        bail!(
            "rustup could not add the target {TARGET}:\n{}\nTo build, {advice}",
            printed.tail(8)
        );
    }
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_in_cargos_messages() {
        let message = |name: &str, kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/t/debug/{name}"}}"#
            )
        };
        assert_eq!(
            host_program(&message("host", "bin", false)),
            Some("/t/debug/host".into())
        );
        assert_eq!(host_program(&message("host", "bin", true)), None);
        assert_eq!(host_program(&message("host", "test", false)), None);
        assert_eq!(host_program(&message("xtask", "bin", false)), None);
        assert_eq!(
            host_program(r#"{"reason":"build-finished","success":true}"#),
            None
        );
        assert_eq!(host_program("not json"), None);
    }

    #[test]
    fn a_target_without_its_library_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_standard_library(folder.path()));
        std::fs::write(folder.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(has_standard_library(folder.path()));
        assert!(!has_standard_library(&folder.path().join("missing")));
    }
}
