//! Redis: one connection kept per instance, renewed once when it turns out dead.

use std::{cell::RefCell, rc::Rc, time::Duration};

use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use crate::{
    Error,
    config::Secret,
    deadline::{Progress, within, within_each},
};

/// Time for opening, and for the command.
const DEADLINE: Duration = Duration::from_millis(2000);

thread_local! {
    /// Opening costs TCP and AUTH each time, and there is no pool behind it, so
    /// the tasks of an instance share one. It holds nothing of any user.
    static KEPT: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Runs one command that the request cannot do without.
///
/// A command that fails on a kept connection is sent once more on a new one, so
/// it must bear being carried out twice.
///
/// # Errors
/// `service_unavailable` when Redis cannot be reached, refuses, or does not answer in time.
pub async fn execute(
    address: &Secret,
    command: &str,
    arguments: Vec<RedisParameter>,
) -> Result<Vec<RedisResult>, Error> {
    let work = async |progress: &Progress| renewing(address, command, arguments, progress).await;
    within_each(DEADLINE, work).await.unwrap_or_else(given_up)
}

/// Runs one command that the request can do without: it waits for `limit` at most, opening included.
///
/// # Errors
/// As [`execute`], whose other conditions hold too.
pub async fn execute_within(
    limit: Duration,
    address: &Secret,
    command: &str,
    arguments: Vec<RedisParameter>,
) -> Result<Vec<RedisResult>, Error> {
    let progress = Progress::start();
    let work = renewing(address, command, arguments, &progress);
    within(limit, work).await.unwrap_or_else(given_up)
}

/// What is kept may be dead without saying so; the next request opens anew.
fn given_up<T>() -> Result<T, Error> {
    KEPT.take();
    Err(Error::Unavailable("Redis did not answer in time".into()))
}

async fn renewing(
    address: &Secret,
    command: &str,
    arguments: Vec<RedisParameter>,
    progress: &Progress,
) -> Result<Vec<RedisResult>, Error> {
    let kept = KEPT.with_borrow(Clone::clone);
    if let Some(connection) = kept
        && let Ok(results) = connection.execute(command, arguments.clone()).await
    {
        return Ok(results);
    }
    let connection = Rc::new(
        Connection::open(address.expose())
            .await
            .map_err(|_| Error::Unavailable("Redis could not be reached".into()))?,
    );
    progress.step();
    KEPT.set(Some(Rc::clone(&connection)));
    connection.execute(command, arguments).await.map_err(|_| {
        KEPT.take();
        Error::Unavailable(format!("Redis refused or lost a {command}"))
    })
}
