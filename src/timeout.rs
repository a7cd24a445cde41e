//! Timeouts around host calls.
//!
//! Spin sets no timeout on Postgres and Redis calls and 600 s on outbound HTTP,
//! so every call that leaves the component goes through here. A timeout cancels
//! the wait only: the server may still carry out the call.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use spin_sdk::{time::sleep, wit_bindgen::yield_async};

/// Waits for `work` for at most `limit`. Returns `None` on timeout.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    match select(work.as_mut(), pin!(sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => poll_once_more(work).await,
    }
}

/// Polls `work` one last time after its timeout.
///
/// An instance that was busy with other requests may receive the timer's event
/// first, although the response arrived long before.
async fn poll_once_more<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    yield_async().await;
    yield_async().await;
    let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The time at which work of several steps last finished a step.
pub struct Progress(Cell<Instant>);

impl Progress {
    /// Starts the first step.
    pub fn start() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// Marks the current step as finished.
    pub fn step(&self) {
        self.0.set(Instant::now());
    }
}

/// Waits for `work` for at most `limit` per step. Returns `None` when a step took longer.
///
/// A statement that has waited for its connection may still take its full time. A timeout of the whole would
/// abandon it while the server carries it out.
pub async fn timeout_per_step<T>(
    limit: Duration,
    work: impl AsyncFnOnce(&Progress) -> T,
) -> Option<T> {
    let progress = Progress::start();
    let mut work = pin!(work(&progress));
    let mut remaining = limit;
    loop {
        match select(work.as_mut(), pin!(sleep(remaining))).await {
            Either::Left((output, _)) => return Some(output),
            Either::Right(((), _)) => {
                if let Some(output) = poll_once_more(work.as_mut()).await {
                    return Some(output);
                }
                remaining = limit.checked_sub(progress.0.get().elapsed())?;
            }
        }
    }
}
