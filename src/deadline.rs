//! Time limits around host calls.
//!
//! The host has none of its own on Postgres and Redis calls and waits ten
//! minutes on HTTP, so every call that leaves the component goes through here.
//! What is given up is cancelled on our side only: the other end may still
//! carry it out.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use spin_sdk::{time::sleep, wit_bindgen::yield_async};

/// Waits for `work`, at most `limit`; `None` when the limit came first.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    match select(work.as_mut(), pin!(sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => at_last(work).await,
    }
}

/// What `work` has come to when its time is over. An instance that computed for
/// other requests meanwhile may hear of the end of the time before it hears of
/// an answer that came long before.
async fn at_last<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    yield_async().await;
    yield_async().await;
    let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    match polled {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// When work of several steps last got on.
pub struct Progress(Cell<Instant>);

impl Progress {
    /// Work that begins now.
    pub fn start() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// A step is done.
    pub fn step(&self) {
        self.0.set(Instant::now());
    }
}

/// Waits for `work` as long as each of its steps takes at most `limit`; `None` when one took longer.
///
/// Where an instance hashes passwords, its other requests get on only between
/// two hashes. A limit on the whole would take that for a database that hangs.
pub async fn within_each<T>(limit: Duration, work: impl AsyncFnOnce(&Progress) -> T) -> Option<T> {
    let progress = Progress::start();
    let mut work = pin!(work(&progress));
    let mut left = limit;
    loop {
        match select(work.as_mut(), pin!(sleep(left))).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right(((), _)) => {
                if let Some(done) = at_last(work.as_mut()).await {
                    return Some(done);
                }
                left = limit.checked_sub(progress.0.get().elapsed())?;
            }
        }
    }
}
