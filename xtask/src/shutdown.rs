//! Ctrl-C and the other signals that ask this process to end.

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP.
pub struct ShutdownSignal([Signal; 3]);

impl ShutdownSignal {
    /// From now on these signals do not end the process by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next of them.
    pub async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Runs `work`, or drops it at one of these signals, which stops everything that it has started.
///
/// # Errors
/// Those of `work`, or that it was stopped.
pub async fn unless_stopped<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut shutdown = ShutdownSignal::new()?;
    tokio::select! {
        result = work => result,
        () = shutdown.wait() => bail!("stopped"),
    }
}
