//! Redis: one connection per instance, reopened once when a command fails.

use std::{cell::RefCell, rc::Rc, time::Duration};

use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use crate::{
    config::Secret,
    error::Error,
    timeout::{Progress, timeout, timeout_per_step},
    timings::{Server, measure},
};

/// Timeout of opening a connection, and of the command.
const STEP_TIMEOUT: Duration = Duration::from_millis(2000);

thread_local! {
    /// The instance's connection, shared by its tasks. Spin has no pool for
    /// Redis, and opening costs a TCP handshake and AUTH. It holds no user's data.
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Runs a command that the request depends on.
///
/// A command that fails on the instance's connection is sent again on a new
/// one, so it must be safe to run twice.
///
/// # Errors
/// `service_unavailable` when Redis is unreachable, rejects the command, or does not answer in time.
pub async fn execute(
    address: &Secret,
    command: &str,
    arguments: &[&str],
) -> Result<Vec<RedisResult>, Error> {
    let work =
        async |progress: &Progress| execute_with_retry(address, command, arguments, progress).await;
    measure(Server::Redis, timeout_per_step(STEP_TIMEOUT, work))
        .await
        .unwrap_or_else(timed_out)
}

/// Runs a command whose failure does not fail the request. `limit` includes opening the connection.
///
/// # Errors
/// As [`execute`].
pub async fn execute_within(
    limit: Duration,
    address: &Secret,
    command: &str,
    arguments: &[&str],
) -> Result<Vec<RedisResult>, Error> {
    let progress = Progress::start();
    let work = execute_with_retry(address, command, arguments, &progress);
    measure(Server::Redis, timeout(limit, work))
        .await
        .unwrap_or_else(timed_out)
}

/// Drops the connection, which may be dead without having reported an error.
fn timed_out<T>() -> Result<T, Error> {
    CONNECTION.take();
    Err(Error::Unavailable("Redis did not answer in time".into()))
}

async fn execute_with_retry(
    address: &Secret,
    command: &str,
    arguments: &[&str],
    progress: &Progress,
) -> Result<Vec<RedisResult>, Error> {
    let arguments = || {
        let binary = |argument: &&str| RedisParameter::Binary(argument.as_bytes().to_vec());
        arguments.iter().map(binary).collect::<Vec<_>>()
    };
    let existing = CONNECTION.with_borrow(Clone::clone);
    if let Some(connection) = existing
        && let Ok(results) = connection.execute(command, arguments()).await
    {
        return Ok(results);
    }
    let connection = Rc::new(
        Connection::open(address.expose())
            .await
            .map_err(|_| Error::Unavailable("Redis is unreachable".into()))?,
    );
    progress.step();
    CONNECTION.set(Some(Rc::clone(&connection)));
    connection.execute(command, arguments()).await.map_err(|_| {
        CONNECTION.take();
        Error::Unavailable(format!("Redis rejected {command} or closed the connection"))
    })
}
