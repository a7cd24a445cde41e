//! `cargo xtask sweep`: has the entries analysed that the model failed on before.

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::client::Call;
use crate::progress::Progress;
use crate::settings::{PREFIX, Settings};

/// Have the entries analysed that the model failed on before
///
/// Asks a running service to take the oldest first, until none is left or the
/// model cannot be used. A scheduler (cron, a Kubernetes CronJob) does the same with
///   curl -fX POST -H "Authorization: Bearer $SWEEP_TOKEN" https://.../internal/sweep
/// The service, and this command, need SPIN_VARIABLE_SWEEP_TOKEN in the environment or in .env.
///
/// Example: cargo xtask sweep --url http://127.0.0.1:3000
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where the service is, over plain HTTP
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL")]
    url: String,
}

/// Sweeps until nothing more can be done, and says how many entries were analysed and how many wait on.
///
/// # Errors
/// When no token is set, or the service does not answer or refuses it.
pub async fn run(arguments: &Args) -> Result<()> {
    let settings = Settings::load()?;
    let token = settings.get("sweep_token").ok_or_else(|| {
        anyhow!("set {PREFIX}SWEEP_TOKEN in .env or the environment, for the service too, and start that anew")
    })?;
    let call = Call::post("/internal/sweep", &json!({})).with_token(token);
    let progress = Progress::new();
    let step = progress.step("Sweeping");
    step.announce();
    let mut total = 0;
    let waiting = loop {
        let swept = call.send(&arguments.url).await.with_context(|| {
            format!(
                "{} did not sweep: is the service running there, with the same {PREFIX}SWEEP_TOKEN?",
                arguments.url
            )
        })?;
        let number = |name: &str| swept.get(name).and_then(Value::as_u64);
        let (Some(analyzed), Some(waiting)) = (number("analyzed"), number("waiting")) else {
            return Err(anyhow!(
                "{} answered something else than a sweep does",
                arguments.url
            ));
        };
        total += analyzed;
        step.doing(&format!("{total} analysed, {waiting} wait"));
        if analyzed == 0 {
            break waiting;
        }
    };
    step.done();
    println!("{total} entries analysed, {waiting} wait");
    Ok(())
}
