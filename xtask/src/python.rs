//! Packages of Python, each in a virtual environment of its own below `target/`.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Returns the folder of programs of a virtual environment that has `package`, such as `name==1.2.3`.
/// Installs the package if it is missing.
///
/// # Errors
/// When Python 3 with venv or the package is not available.
pub async fn install(package: &str) -> Result<PathBuf> {
    let folder = testbed::workspace().join("target/python").join(package);
    let programs = folder.join("bin");
    // Written last, so that an interrupted installation is repeated.
    let installed = folder.join("installed");
    if !installed.exists() {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(&folder), b"").await?;
        let mut install = Command::new(programs.join("python"));
        run(
            install.args(["-m", "pip", "install", "--quiet", package]),
            b"",
        )
        .await?;
        std::fs::write(&installed, "")?;
    }
    Ok(programs)
}

/// Runs a program with `input` on standard input, and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails.
pub async fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let program = command.as_std().get_program().to_owned();
    let program = program.display();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // An error means that the program has exited early; its status and output say why.
        let _ = stdin.write_all(input).await;
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().await?;
    let printed = String::from_utf8_lossy(&stderr);
    let last = printed.lines().last().unwrap_or_default();
    ensure!(status.success(), "{program} failed: {last}");
    Ok(stdout)
}
