//! A rush of logins: their memory, and the latency of other requests.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use testbed::load::{Generator, Load, Measurement};

use super::{memory, subjects::Subjects, users};

/// Logins that arrive at once.
pub const LOGINS: usize = 300;
/// Time of the load. A login waits for some 15 s at most.
const LENGTH: Duration = Duration::from_secs(17);

/// The measurements.
pub struct Rush {
    /// The load before the logins.
    pub before: Measurement,
    /// The same load while they are answered.
    pub during: Measurement,
    /// Logins that succeeded.
    pub succeeded: usize,
}

/// Sends [`LOGINS`] logins at once to the service of `load`, while it is under this load.
pub async fn measure(
    generator: &Generator,
    load: &Load<'_>,
    subjects: &Subjects,
    round: Duration,
) -> Result<Rush> {
    load.try_once().await?;
    let before = memory::peak_while(load.app.pid(), generator.run(load, round));
    let (before, memory) = before.await;
    let before = Measurement { memory, ..before? };
    let login = users::log_in_again(&subjects.users.small);
    let logins = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let url = load.app.url();
        join_all((0..LOGINS).map(|_| login.send(url))).await
    };
    let work = async { tokio::join!(generator.run(load, LENGTH), logins) };
    let ((during, logins), memory) = memory::peak_while(load.app.pid(), work).await;
    Ok(Rush {
        before,
        during: Measurement { memory, ..during? },
        succeeded: logins.iter().filter(|login| login.is_ok()).count(),
    })
}
