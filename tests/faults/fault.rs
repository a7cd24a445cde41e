//! The faults, and how each is caused and ended.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;
use testbed::database;
use testbed::tcp_proxy::TcpProxy;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::observations::Tolerance;
use crate::system::System;

/// How long a fault lasts: longer than each of the service's timeouts for Postgres and Redis.
const DURATION: Duration = Duration::from_secs(3);

/// Time between two cuts of all connections.
const CUT_INTERVAL: Duration = Duration::from_millis(250);

/// A part of the system that can fail.
#[derive(Clone, Copy)]
pub enum Part {
    Postgres,
    Redis,
    /// The first of the two processes.
    Service,
    Model,
}

/// Something that goes wrong while clients write.
#[derive(Clone, Copy)]
pub enum Fault {
    /// A part is killed, and starts again.
    Killed(Part),
    /// All connections to a part are closed, again and again.
    Cut(Part),
    /// All connections to a part are closed, and new ones are refused.
    Refused(Part),
    /// The connections to a part stay open and transport nothing.
    Stalled(Part),
    /// Another transaction locks the table of entries.
    TableLocked,
    /// Other programs use all connections of Postgres.
    ConnectionsUsedUp,
}

impl Fault {
    /// Returns all faults.
    pub fn all() -> impl Iterator<Item = Self> {
        let parts = [Part::Postgres, Part::Redis, Part::Service, Part::Model];
        let of_parts = [Self::Killed, Self::Cut, Self::Refused, Self::Stalled];
        let of_parts = of_parts.into_iter();
        of_parts
            .flat_map(move |fault| parts.map(fault))
            .chain([Self::TableLocked, Self::ConnectionsUsedUp])
    }

    /// Returns the failures that clients may see.
    pub fn tolerance(self) -> Tolerance {
        match self {
            Self::Killed(part) | Self::Cut(part) | Self::Refused(part) | Self::Stalled(part) => {
                match part {
                    Part::Postgres => Tolerance::Unavailable,
                    Part::Redis => Tolerance::UnavailableLogins,
                    Part::Service => Tolerance::LostResponses,
                    Part::Model => Tolerance::Nothing,
                }
            }
            Self::TableLocked | Self::ConnectionsUsedUp => Tolerance::Unavailable,
        }
    }

    /// Causes the fault, and ends it.
    pub async fn occur(self, system: &System) -> Result<()> {
        match self {
            Self::Killed(part) => kill_and_restart(part, system).await,
            Self::Cut(part) => {
                let end = Instant::now() + DURATION;
                while Instant::now() < end {
                    proxy(part, system).cut();
                    sleep(CUT_INTERVAL).await;
                }
                Ok(())
            }
            Self::Refused(part) => {
                proxy(part, system).refuse();
                sleep(DURATION).await;
                proxy(part, system).resume();
                Ok(())
            }
            Self::Stalled(part) => {
                proxy(part, system).stall();
                sleep(DURATION).await;
                proxy(part, system).resume();
                Ok(())
            }
            Self::TableLocked => lock_table(system).await,
            Self::ConnectionsUsedUp => use_up_connections(system).await,
        }
    }
}

fn proxy(part: Part, system: &System) -> &TcpProxy {
    match part {
        Part::Postgres => &system.postgres_proxy,
        Part::Redis => &system.redis_proxy,
        Part::Service => system.service_proxy(),
        Part::Model => &system.model_proxy,
    }
}

async fn kill_and_restart(part: Part, system: &System) -> Result<()> {
    match part {
        Part::Postgres => system.postgres.kill(),
        Part::Redis => system.redis.kill(),
        Part::Service => system.kill_service().await,
        Part::Model => system.kill_model().await,
    }
    sleep(DURATION).await;
    match part {
        Part::Postgres => system.postgres.restart().await,
        Part::Redis => system.redis.restart().await,
        Part::Service => system.restart_service().await,
        Part::Model => system.restart_model().await,
    }
}

async fn lock_table(system: &System) -> Result<()> {
    let database = database::connect(&system.database_url).await?;
    database
        .batch_execute("begin; lock table thought_diaries in access exclusive mode")
        .await?;
    sleep(DURATION).await;
    Ok(database.batch_execute("rollback").await?)
}

/// Takes every connection that Postgres allows, those of the service included.
async fn use_up_connections(system: &System) -> Result<()> {
    let url = format!("{}?application_name=fault", system.database_url);
    let first = database::connect(&url).await?;
    let mut taken = Vec::new();
    take_connections(&url, &mut taken).await;
    let end = Instant::now() + DURATION;
    while Instant::now() < end {
        first
            .batch_execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                where backend_type = 'client backend' and application_name <> 'fault'",
            )
            .await?;
        take_connections(&url, &mut taken).await;
    }
    Ok(())
}

/// Connects until Postgres refuses.
async fn take_connections(url: &str, taken: &mut Vec<Client>) {
    loop {
        // Several at once, to be faster than the service.
        let attempts = join_all((0..8).map(|_| database::connect(url))).await;
        let is_refused = attempts.iter().any(Result::is_err);
        taken.extend(attempts.into_iter().flatten());
        if is_refused {
            return;
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Service => "service",
            Self::Model => "model",
        })
    }
}

/// The name of the test.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(part) => write!(formatter, "{part}_killed"),
            Self::Cut(part) => write!(formatter, "{part}_connections_cut"),
            Self::Refused(part) => write!(formatter, "{part}_connections_refused"),
            Self::Stalled(part) => write!(formatter, "{part}_connections_stalled"),
            Self::TableLocked => write!(formatter, "table_locked"),
            Self::ConnectionsUsedUp => write!(formatter, "postgres_connections_used_up"),
        }
    }
}
