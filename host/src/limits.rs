//! How many outbound connections may be open at once, by interface and altogether.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on connections; waiting for it has no end, as in Spin.
#[derive(Clone, Default)]
pub struct Limit {
    own: Option<Arc<Semaphore>>,
    total: Option<Arc<Semaphore>>,
}

/// The right to have a connection open, given back when dropped.
pub struct Permit {
    _own: Option<OwnedSemaphorePermit>,
    _total: Option<OwnedSemaphorePermit>,
}

impl Limit {
    /// A limit of `own` connections that also counts against `total`; none is no limit.
    pub fn new(own: Option<usize>, total: Option<Arc<Semaphore>>) -> Self {
        Self {
            own: own.map(|limit| Arc::new(Semaphore::new(limit))),
            total,
        }
    }

    /// Waits for its turn.
    pub async fn acquire(&self) -> Permit {
        // The own permit first: who waits for it must not hold one of the total.
        Permit {
            _own: acquire(self.own.as_ref()).await,
            _total: acquire(self.total.as_ref()).await,
        }
    }
}

async fn acquire(semaphore: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // The error is that the semaphore was closed, which nobody does.
    semaphore?.clone().acquire_owned().await.ok()
}
