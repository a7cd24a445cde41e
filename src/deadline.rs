//! A time limit around any host call.

use std::{future::Future, pin::pin, time::Duration};

use futures::future::{Either, select};
use spin_sdk::time::sleep;

/// Waits for `work`, at most `limit`; `None` when the limit came first.
///
/// The host has no time limits of its own on Postgres and Redis calls and
/// waits ten minutes on HTTP, so every call that leaves the component goes
/// through here. What is given up is cancelled on our side only: the other end
/// may still carry it out.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
