//! `cargo xtask build`: builds the components; cargo decides what is outdated.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use testbed::process::{ChildProcess, Log, Signal};
use testbed::progress::Progress;
use testbed::runtime::Kind;
use testbed::{apt, cargo};
use tokio::task::spawn_blocking;

use crate::debian_wasm;
use crate::shutdown::unless_stopped;

const TARGET: &str = "wasm32-wasip2";
/// A firewall that drops packets would otherwise hold up the build forever.
const RUSTUP_TIMEOUT: Duration = Duration::from_secs(300);
const ADVICE: &str =
    "install the Rust target wasm32-wasip2, for example with `rustup target add wasm32-wasip2`";

/// Build the components' .wasm files into target/wasm32-wasip2/release
///
/// Adds the target wasm32-wasip2 to the toolchain if it is missing.
///
/// Example: cargo xtask build
#[derive(clap::Args)]
pub struct Args {
    /// Source of the standard library for the target
    #[arg(long, value_enum, default_value_t, env = "XTASK_TOOLCHAIN")]
    toolchain: Toolchain,
}

/// The source of the standard library for the target.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Toolchain {
    /// The installed toolchain or rustup; Debian's packages if neither has it
    #[default]
    Auto,
    /// The installed toolchain or rustup
    Rustup,
    /// Debian's packages
    Debian,
}

pub async fn run(arguments: &Args) -> Result<()> {
    unless_stopped(build(&Progress::new(), arguments.toolchain)).await?;
    for name in packages()? {
        let file = component(&name);
        let size = std::fs::metadata(&file).map(|data| data.len() / 1024);
        let shown = file.strip_prefix(testbed::workspace()).unwrap_or(&file);
        println!("{} ({} KiB)", shown.display(), size.unwrap_or_default());
    }
    Ok(())
}

/// Returns the packages that become a `.wasm`: the components in `spin.toml`, of which the older version that the test of
/// upgrades builds has others, and the one that the host's tests and the benchmark use.
pub fn packages() -> Result<Vec<String>> {
    let path = testbed::workspace().join("spin.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: toml::Table = toml::from_str(&text).context("spin.toml is not valid TOML")?;
    let components = manifest
        .get("component")
        .and_then(toml::Value::as_table)
        .context("spin.toml has no components")?;
    let names = components.keys().map(String::as_str);
    Ok(names.chain(["probe"]).map(ToOwned::to_owned).collect())
}

/// Returns the file of a built component.
pub fn component(name: &str) -> PathBuf {
    target_dir().join(format!("{TARGET}/release/{name}.wasm"))
}

/// `spin.toml` names this folder, whatever `CARGO_TARGET_DIR` says.
fn target_dir() -> PathBuf {
    testbed::workspace().join("target")
}

/// Builds all components with the toolchain in `XTASK_TOOLCHAIN`, or with the first that has the target.
pub async fn components(progress: &Progress) -> Result<()> {
    let toolchain = std::env::var("XTASK_TOOLCHAIN").unwrap_or_default();
    build(
        progress,
        ValueEnum::from_str(&toolchain, true).unwrap_or_default(),
    )
    .await
}

/// Builds all components, and the embedded host if `kind` needs it.
pub async fn service(kind: Kind, progress: &Progress) -> Result<()> {
    components(progress).await?;
    kind.program(progress).await.map(drop)
}

async fn build(progress: &Progress, toolchain: Toolchain) -> Result<()> {
    let debian = match toolchain {
        Toolchain::Debian => Some(prepare_debian(progress).await?),
        _ if has_target() => None,
        Toolchain::Auto if let Some(prepared) = debian_wasm::prepared() => Some(prepared),
        _ => match (add_target(progress).await, toolchain) {
            (Ok(()), _) => None,
            (Err(error), Toolchain::Auto) if apt::is_available() => {
                eprintln!("{error:#}\nUsing Debian's packages instead.");
                Some(prepare_debian(progress).await?)
            }
            (Err(error), _) => return Err(error),
        },
    };
    let mut command = cargo::command();
    command
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(target_dir());
    for name in packages()? {
        command.args(["--package", &name]);
    }
    // Flags for the machine's own processor or linker do not fit wasm, and would replace those
    // in .cargo/config.toml.
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
    cargo::build(command, progress.step("Building the components"))
        .await
        .map(drop)
}

async fn prepare_debian(progress: &Progress) -> Result<debian_wasm::Prepared> {
    let progress = progress.clone();
    spawn_blocking(move || debian_wasm::prepare(&progress)).await?
}

/// Returns whether the compiler that cargo calls has a standard library for the target.
fn has_target() -> bool {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(testbed::workspace())
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        output.status.success() && has_standard_library(Path::new(folder.trim()))
    })
}

fn has_standard_library(folder: &Path) -> bool {
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Adds the target with rustup.
async fn add_target(progress: &Progress) -> Result<()> {
    let rustup = which::which("rustup").with_context(|| {
        format!("the compiler has no target {TARGET}, and there is no rustup: {ADVICE}")
    })?;
    let step = progress.step("Adding the target wasm32-wasip2");
    step.announce();
    let mut command = Command::new(rustup);
    command
        .args(["target", "add", TARGET])
        .current_dir(testbed::workspace())
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = ChildProcess::start(command, Signal::SIGTERM)?;
    let log = Log::default();
    child.follow_output([&log, &log], |_, _| {});
    let Ok(status) = tokio::time::timeout(RUSTUP_TIMEOUT, child.wait()).await else {
        let seconds = RUSTUP_TIMEOUT.as_secs();
        bail!(
            "rustup could not download the target {TARGET} in {seconds} s: check the network, then {ADVICE}"
        );
    };
    if !status.success() {
        bail!(
            "rustup could not add the target {TARGET}:\n{}\nTo build, {ADVICE}",
            log.tail(8)
        );
    }
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_its_standard_library_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_standard_library(folder.path()));
        std::fs::write(folder.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(has_standard_library(folder.path()));
        assert!(!has_standard_library(&folder.path().join("missing")));
    }
}
