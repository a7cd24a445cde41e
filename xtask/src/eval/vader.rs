//! The polarity that the Python package `vaderSentiment` finds in the sentences.

use anyhow::{Context, Result, ensure};
use testbed::progress::Progress;
use tokio::process::Command;

use super::labeled::{Polarity, Sentence};
use crate::python;

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
    let programs = python::install(PACKAGE).await?;
    let texts: Vec<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
    let mut script = Command::new(programs.join("python"));
    script.args(["-c", SCRIPT]);
    let printed = python::run(&mut script, &serde_json::to_vec(&texts)?).await?;
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
