//! `cargo xtask eval`: how well the word list tells good entries from bad ones, beside VADER.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::document;
use crate::process::Ending;
use crate::progress::Progress;
use crate::runtime::Kind;
use crate::stage::{self, Servers};

mod labelled;
mod metrics;
mod report;
mod service;
mod vader;

use labelled::{Part, Polarity, Sentence};

/// Measure how well the word list reads sentences, beside the vaderSentiment package
///
/// Starts a throw-away service without a model, writes each labelled sentence of
/// tests/data as a diary, and compares the sentiment with the label. The words and
/// rules may be tuned on polarity.tsv (--misses lists what is read wrong there), never
/// on polarity_held_out.tsv, of which only totals are shown. VADER needs Python 3
/// with venv, and PyPI; it is installed into target/vader. Takes about half a minute.
///
/// Examples:
///   cargo xtask eval
///   cargo xtask eval --misses
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What runs the components [default: spin where 4.1 or newer is on the PATH, else embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
    /// List the sentences of the tuning part that are read wrong, instead of writing the tables
    #[arg(long)]
    misses: bool,
    /// The Markdown file to write
    #[arg(long, default_value = "docs/evaluation.md", value_name = "FILE")]
    output: PathBuf,
}

/// A sentence and how it was read.
struct Read {
    sentence: Sentence,
    ours: Polarity,
    /// Nothing where VADER could not be had.
    vader: Option<Polarity>,
}

/// Reads all sentences, prints the tables and writes them. A goal that is missed is shown, and no error.
///
/// # Errors
/// When something does not build or start, or a sentence is refused.
pub async fn run(arguments: &Args) -> Result<()> {
    let mut ending = Ending::new()?;
    let read = tokio::select! {
        read = read(arguments) => read?,
        () = ending.wait() => bail!("stopped"),
    };
    if arguments.misses {
        print!("{}", report::misses(&read));
        return Ok(());
    }
    document::publish(&report::markdown(&read), &arguments.output)
}

async fn read(arguments: &Args) -> Result<Vec<Read>> {
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let progress = Progress::new();
    let mut sentences = labelled::read(Part::Tuning)?;
    sentences.extend(labelled::read(Part::HeldOut)?);
    stage::build(kind, &progress).await?;
    let servers = Servers::start("eval").await?;
    let ours = service::read(kind, &servers, &sentences, &progress).await;
    servers.stop().await;
    let vader = match vader::read(&sentences, &progress).await {
        Ok(vader) => vader.into_iter().map(Some).collect(),
        Err(error) => {
            eprintln!("Without VADER, as it cannot be had here: {error:#}");
            vec![None; sentences.len()]
        }
    };
    let read = sentences.into_iter().zip(ours?).zip(vader);
    Ok(read
        .map(|((sentence, ours), vader)| Read {
            sentence,
            ours,
            vader,
        })
        .collect())
}
