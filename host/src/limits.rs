//! Limits on open outbound connections.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on the connections that the application has open at once, or no limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "usize")]
pub struct ConnectionLimit(Option<Arc<Semaphore>>);

/// Permission to have one connection open, returned to the limit when dropped.
pub struct Permit {
    _semaphore: Option<OwnedSemaphorePermit>,
}

impl From<usize> for ConnectionLimit {
    fn from(max: usize) -> Self {
        let permits = max.min(Semaphore::MAX_PERMITS);
        Self(Some(Arc::new(Semaphore::new(permits))))
    }
}

impl ConnectionLimit {
    /// Waits until a connection may be opened. There is no timeout, as in Spin.
    pub async fn acquire(&self) -> Permit {
        let semaphore = match &self.0 {
            // An error means that the semaphore was closed, and this one never is.
            Some(semaphore) => semaphore.clone().acquire_owned().await.ok(),
            None => None,
        };
        Permit {
            _semaphore: semaphore,
        }
    }
}
