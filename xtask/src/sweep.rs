//! `cargo xtask sweep`: re-analyses the entries that the model has failed on.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::api::Call;
use testbed::progress::Progress;
use testbed::settings::{PREFIX, Settings};

/// Re-analyze the entries that the model has failed on
///
/// Asks a running service to analyze the oldest first, until none is left or the
/// model is unavailable. A scheduler (cron, a Kubernetes CronJob) does the same with
///   curl -fX POST -H "Authorization: Bearer $SWEEP_TOKEN" http://127.0.0.1:3000/internal/sweep
/// The service and this command need SPIN_VARIABLE_SWEEP_TOKEN in the environment or in .env.
///
/// Example: cargo xtask sweep --url http://127.0.0.1:3000
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The service's URL, with plain HTTP
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL")]
    url: String,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let Args { url } = arguments;
    let settings = Settings::load()?;
    let token = settings.get("sweep_token").with_context(|| {
        format!("set {PREFIX}SWEEP_TOKEN in .env or the environment, for the service as well, and restart the service")
    })?;
    let call = Call::post("/internal/sweep", &json!({})).with_token(token);
    let progress = Progress::new();
    let step = progress.step("Sweeping");
    step.announce();
    let mut total = 0;
    let waiting = loop {
        let swept = call.send(url).await.with_context(|| {
            format!("{url} did not sweep: is the service running there, with the same {PREFIX}SWEEP_TOKEN?")
        })?;
        let number = |name: &str| {
            let number = swept.get(name).and_then(Value::as_u64);
            number.with_context(|| {
                format!("the response of {url} has no {name}: is it this service?")
            })
        };
        let (analyzed, waiting) = (number("analyzed")?, number("waiting")?);
        total += analyzed;
        step.message(&format!("{total} analyzed, {waiting} waiting"));
        if analyzed == 0 {
            break waiting;
        }
    };
    step.done();
    println!("{total} entries analyzed, {waiting} waiting");
    Ok(())
}
