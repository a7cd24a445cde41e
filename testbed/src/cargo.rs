//! Calls of cargo: the embedded host, and whatever else a command builds.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::process::{ChildProcess, Log};
use crate::progress::{Progress, Step};

/// Returns a call of the cargo that runs this process, in the repository's root.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace());
    // Cargo has set these for the package that is running; they are wrong for those it builds now.
    let of_package = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if of_package.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a build that `command` describes, shows what it compiles, and returns its standard output.
/// The build is killed when the future is dropped.
///
/// # Errors
/// When it fails, with what it printed.
pub async fn build(mut command: Command, step: Step) -> Result<String> {
    let words = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned());
    let call = words.collect::<Vec<_>>().join(" ");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ChildProcess::start(command, Signal::SIGTERM)?;
    let (stdout, stderr) = (Log::default(), Log::default());
    let step = Arc::new(step);
    let followers = child.follow_output([&stdout, &stderr], move |line, is_stderr| {
        let line = line.trim_start();
        if is_stderr {
            // Without one of these there is nothing to do.
            let verbs = ["Compiling", "Downloading", "Updating"];
            if verbs.iter().any(|verb| line.starts_with(verb)) {
                step.announce();
            }
            step.message(line);
        }
    });
    let status = child.wait().await;
    // The last lines may not have arrived yet.
    spawn_blocking(move || followers.into_iter().for_each(|thread| drop(thread.join()))).await?;
    if !status.success() {
        let printed = stderr.tail(60);
        bail!(
            "{printed}\n`cargo {call}` failed: see above. Correct it and run the same command again"
        );
    }
    Ok(stdout.text())
}

/// Returns the path of the embedded host: that in `XTASK_HOST`, or a newly built one.
/// Later calls in this process return the same path at once.
///
/// # Errors
/// When it does not compile.
pub async fn host(progress: &Progress) -> Result<PathBuf> {
    static HOST: OnceCell<PathBuf> = OnceCell::const_new();
    let built = HOST.get_or_try_init(async || match std::env::var_os("XTASK_HOST") {
        Some(path) => Ok(path.into()),
        None => build_host(progress).await,
    });
    built.await.cloned()
}

async fn build_host(progress: &Progress) -> Result<PathBuf> {
    let mut command = command();
    // Not `--package`: see `.cargo/config.toml`.
    command.args(["build", "--bin", "host"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    let messages = build(command, progress.step("Building the embedded host")).await?;
    find_host(&messages)
        .context("cargo does not say where the host is: run `cargo build --bin host` to see why")
}

/// Returns the path of the embedded host in the JSON messages of a build.
#[must_use]
pub fn find_host(messages: &str) -> Option<PathBuf> {
    messages.lines().filter_map(host_in_message).next_back()
}

/// Returns the path of the unit tests of a package's library in the JSON messages of a build.
#[must_use]
pub fn find_test(messages: &str, package: &str) -> Option<PathBuf> {
    let test = |message: &str| {
        let message: serde_json::Value = serde_json::from_str(message).ok()?;
        let is_test = message.pointer("/profile/test")? == true
            && message.pointer("/target/name")?.as_str()?.replace('_', "-") == package;
        is_test.then(|| Some(PathBuf::from(message.get("executable")?.as_str()?)))?
    };
    messages.lines().find_map(test)
}

fn host_in_message(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_host = message.pointer("/target/name")? == "host"
        && message.pointer("/target/kind/0")? == "bin"
        && message.pointer("/profile/test")? == false;
    is_host.then(|| Some(PathBuf::from(message.get("executable")?.as_str()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_host_in_the_messages_of_cargo() {
        let message = |name: &str, kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/t/debug/{name}"}}"#
            )
        };
        let host = message("host", "bin", false);
        assert_eq!(find_host(&host), Some("/t/debug/host".into()));
        let others = [
            &message("host", "bin", true),
            &message("host", "test", false),
            &message("xtask", "bin", false),
            r#"{"reason":"build-finished","success":true}"#,
            "not JSON",
        ];
        assert_eq!(find_host(&others.join("\n")), None);
        let all = format!("{host}\n{}", others.join("\n"));
        assert_eq!(find_host(&all), Some("/t/debug/host".into()));
    }
}
