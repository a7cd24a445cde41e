//! `cargo xtask eval`: measures the accuracy of the lexicon on labeled sentences, compared with VADER.

use std::path::PathBuf;

use anyhow::Result;
use testbed::environment::Environment;
use testbed::progress::Progress;
use testbed::runtime::Kind;

use crate::shutdown::unless_stopped;
use crate::{build, document};

mod labeled;
mod metrics;
mod report;
mod service;
mod vader;

use labeled::Part;
use report::Outcome;

/// Measure the accuracy of the lexicon on labeled sentences, compared with the vaderSentiment package
///
/// Starts a temporary service without a model, writes each labeled sentence of
/// tests/data as a diary, and compares the sentiment with the label. The words and
/// rules may be tuned on polarity.tsv (--misses lists what is read wrong there), never
/// on polarity_held_out.tsv, of which only totals are shown. VADER needs Python 3
/// with venv, and PyPI; it is installed below target/. Takes about half a minute.
///
/// Examples:
///   cargo xtask eval
///   cargo xtask eval --misses
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The program that runs the components [default: spin where 4.1 or newer is on the PATH, otherwise embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
    /// List the sentences of the tuning part that are read wrong, instead of writing the tables
    #[arg(long)]
    misses: bool,
    /// The Markdown file to write
    #[arg(long, default_value = "docs/evaluation.md", value_name = "FILE")]
    output: PathBuf,
}

/// Reads all sentences, prints the tables and writes them. A missed goal is shown, and is no error.
pub async fn run(arguments: &Args) -> Result<()> {
    let outcomes = unless_stopped(read(arguments)).await?;
    if arguments.misses {
        print!("{}", report::misses(&outcomes));
        return Ok(());
    }
    document::publish(&report::markdown(&outcomes), &arguments.output)
}

async fn read(arguments: &Args) -> Result<Vec<Outcome>> {
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let progress = Progress::new();
    let mut sentences = labeled::read(Part::Tuning)?;
    sentences.extend(labeled::read(Part::HeldOut)?);
    build::service(kind, &progress).await?;
    let environment = Environment::start().await?;
    let ours = service::read(kind, &environment, &sentences, &progress).await;
    environment.stop().await;
    let vader = match vader::read(&sentences, &progress).await {
        Ok(vader) => vader.into_iter().map(Some).collect(),
        Err(error) => {
            eprintln!("Continuing without VADER, which is not available: {error:#}");
            vec![None; sentences.len()]
        }
    };
    let outcomes = sentences.into_iter().zip(ours?).zip(vader);
    let outcomes = outcomes.map(|((sentence, ours), vader)| Outcome {
        sentence,
        ours,
        vader,
    });
    Ok(outcomes.collect())
}
