//! The polarity that the Python package `vaderSentiment` finds in the sentences.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use testbed::progress::Progress;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::labeled::{Polarity, Sentence};

/// The newest version, of 2020.
pub const PACKAGE: &str = "vaderSentiment==3.3.2";
const SCRIPT: &str = include_str!("vader.py");

/// Returns the polarity of each sentence, in the same order.
///
/// # Errors
/// When Python 3 with venv or the package is not available, or it fails.
pub async fn read(sentences: &[Sentence], progress: &Progress) -> Result<Vec<Polarity>> {
    let step = progress.step("Running VADER");
    step.announce();
    let python = environment(&testbed::workspace().join("target/vader")).await?;
    let texts: Vec<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
    let mut script = Command::new(python);
    script.args(["-c", SCRIPT]);
    let printed = run(&mut script, &serde_json::to_vec(&texts)?).await?;
    let names: Vec<String> = serde_json::from_slice(&printed)?;
    ensure!(
        names.len() == sentences.len(),
        "VADER returned {} results",
        names.len()
    );
    step.done();
    let polarity = |name: &String| Polarity::from_name(name);
    let read: Option<_> = names.iter().map(polarity).collect();
    read.context("VADER returned something other than a polarity")
}

/// Returns the Python of a virtual environment, which is created if it is missing.
async fn environment(folder: &Path) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let mut import = Command::new(&python);
    import.args(["-c", "import vaderSentiment"]);
    if run(&mut import, b"").await.is_ok() {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(&mut venv, b"").await?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", PACKAGE]);
    run(&mut install, b"").await?;
    Ok(python)
}

/// Runs a program with `input` on standard input, and returns its standard output.
async fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
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
    let output = child.wait_with_output().await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let last = printed.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "{program} failed: {last}");
    Ok(output.stdout)
}
