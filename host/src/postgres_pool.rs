//! Postgres connections and statements: a pool for each address, no rollback, every statement prepared anew.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, RowStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::bindings::spin::postgres::postgres::{
    Column, DbError, Error, ParameterValue, QueryError, Row, RowSet,
};
use crate::postgres_types::{column, row_size, to_row, to_sql};
use crate::tls;

/// Connections of one pool. Who finds none free waits, without end.
const POOL_SIZE: usize = 64;
/// Addresses that a component may use at the same time without their pools being forgotten.
const MAX_POOLS: usize = 16;
/// How large a result may be.
const MAX_RESULT_BYTES: usize = 128 << 20;
/// Rows read ahead of the component.
const ROWS_AHEAD: usize = 4;

/// An authority that a component wants trusted besides the usual ones.
#[derive(Clone, PartialEq)]
pub struct RootCertificate(CertificateDer<'static>);

impl RootCertificate {
    /// Reads the first certificate of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self> {
        Ok(Self(CertificateDer::from_pem_slice(text.as_bytes())?))
    }
}

/// The pools of one component, the latest used last.
#[derive(Default)]
pub struct Pools(Mutex<Vec<KeyedPool>>);

struct KeyedPool {
    address: String,
    root: Option<RootCertificate>,
    pool: Pool,
}

impl Pools {
    /// Takes a connection to `address` from its pool.
    pub async fn get(&self, address: &str, root: Option<&RootCertificate>) -> Result<Client> {
        let pool = self.pool(address, root);
        let pool = pool.context("establishing PostgreSQL connection pool")?;
        Ok(Client(Arc::new(pool.get().await?)))
    }

    fn pool(&self, address: &str, root: Option<&RootCertificate>) -> Result<Pool> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |p: &KeyedPool| p.address == address && p.root.as_ref() == root;
        let keyed = match pools.iter().position(is_wanted) {
            Some(index) => pools.remove(index),
            None => KeyedPool {
                address: address.to_owned(),
                root: root.cloned(),
                pool: new_pool(address, root)?,
            },
        };
        let pool = keyed.pool.clone();
        if pools.len() == MAX_POOLS {
            pools.remove(0);
        }
        pools.push(keyed);
        Ok(pool)
    }
}

fn new_pool(address: &str, root: Option<&RootCertificate>) -> Result<Pool> {
    let config: tokio_postgres::Config = address
        .parse()
        .context("parsing Postgres connection string")?;
    let recycling = ManagerConfig {
        // Resets the session but, unlike DISCARD ALL, leaves a transaction open.
        recycling_method: RecyclingMethod::Clean,
    };
    let manager = if config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(config, NoTls, recycling)
    } else {
        let tls = MakeRustlsConnect::new(tls::client_config(root.map(|root| &root.0)));
        Manager::from_config(config, tls, recycling)
    };
    let pool = Pool::builder(manager).max_size(POOL_SIZE).build();
    pool.context("building Postgres connection pool")
}

/// A connection lent by a pool; the last clone's end gives it back.
#[derive(Clone)]
pub struct Client(Arc<Object>);

/// The answer to a query, still coming.
pub struct Streamed {
    /// Known with the first row: empty when there is none.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: mpsc::Receiver<Row>,
    /// How the query ended.
    pub end: oneshot::Receiver<Result<(), Error>>,
}

impl Client {
    /// Runs a statement; returns how many rows it changed.
    pub async fn execute(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<u64, Error> {
        let values: Result<Vec<_>> = parameters.iter().map(to_sql).collect();
        let values = values.map_err(|error| Error::ValueConversionFailed(format!("{error:?}")))?;
        let references: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect();
        let changed = self.0.execute(statement, &references).await;
        changed.map_err(|error| failed(&error))
    }

    /// Runs a query and collects its rows.
    ///
    /// Errors that come with the rows are text here, without SQLSTATE: so it is in Spin.
    pub async fn query(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<RowSet, Error> {
        let mut found = self.start(statement, parameters).await?;
        let mut set = RowSet {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        let mut bytes = size_of::<RowSet>();
        while let Some(next) = found.next().await {
            let (row, columns) = next.map_err(|error| text(&anyhow::Error::from(error)))?;
            bytes += row_size(&row);
            if bytes > MAX_RESULT_BYTES {
                return Err(text(&too_large()));
            }
            set.columns = columns.unwrap_or(set.columns);
            set.rows.push(row);
        }
        Ok(set)
    }

    /// Runs a query and returns when its first row is there.
    ///
    /// Errors of the statement itself, a violated constraint say, show only in `end`.
    pub async fn query_streamed(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<Streamed, Error> {
        let found = self.start(statement, parameters).await?;
        let (first, columns) = oneshot::channel();
        let (sender, rows) = mpsc::channel(ROWS_AHEAD);
        let (ended, end) = oneshot::channel();
        tokio::spawn(async move {
            // The component may be gone, and then nobody wants to know.
            _ = ended.send(forward(found, first, sender).await);
        });
        Ok(Streamed {
            columns: columns.await.unwrap_or_default(),
            rows,
            end,
        })
    }

    async fn start(&self, statement: &str, parameters: &[ParameterValue]) -> Result<Found, Error> {
        let values: Result<Vec<_>> = parameters.iter().map(to_sql).collect();
        let values = values.map_err(|error| Error::BadParameter(format!("{error:?}")))?;
        let stream = self.0.query_raw(statement, values).await;
        Ok(Found {
            stream: Box::pin(stream.map_err(|error| failed(&error))?),
            columns_known: false,
        })
    }
}

/// Rows on their way.
struct Found {
    stream: std::pin::Pin<Box<RowStream>>,
    columns_known: bool,
}

impl Found {
    /// The next row, the first one with the columns.
    async fn next(&mut self) -> Option<Result<(Row, Option<Vec<Column>>), Error>> {
        let row = match self.stream.next().await? {
            Ok(row) => row,
            Err(error) => return Some(Err(failed(&error))),
        };
        let is_first = !std::mem::replace(&mut self.columns_known, true);
        let columns = is_first.then(|| row.columns().iter().map(column).collect());
        Some(match to_row(&row) {
            Ok(row) => Ok((row, columns)),
            Err(error) => Err(text(&error)),
        })
    }
}

/// Passes rows on until there are no more or nobody takes them.
async fn forward(
    mut found: Found,
    first: oneshot::Sender<Vec<Column>>,
    rows: mpsc::Sender<Row>,
) -> Result<(), Error> {
    let mut first = Some(first);
    loop {
        let next = tokio::select! {
            biased;
            () = rows.closed() => return Ok(()),
            next = found.next() => next,
        };
        let Some(next) = next else { return Ok(()) };
        let (row, columns) = next?;
        if let (Some(first), Some(columns)) = (first.take(), columns) {
            _ = first.send(columns);
        }
        if row_size(&row) > MAX_RESULT_BYTES {
            let message = format!("query result exceeds limit of {MAX_RESULT_BYTES} bytes");
            return Err(Error::QueryFailed(QueryError::Text(message)));
        }
        if rows.send(row).await.is_err() {
            return Ok(());
        }
    }
}

fn too_large() -> anyhow::Error {
    anyhow::anyhow!("query result exceeds limit of {MAX_RESULT_BYTES} bytes")
}

fn text(error: &anyhow::Error) -> Error {
    Error::QueryFailed(QueryError::Text(format!("{error:?}")))
}

/// An error of the driver or, where the server sent it, with all that the server said.
fn failed(error: &tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    let Some(error) = error.as_db_error() else {
        return Error::QueryFailed(QueryError::Text(as_text));
    };
    let extras = [
        ("column", error.column().map(str::to_owned)),
        ("constraint", error.constraint().map(str::to_owned)),
        ("routine", error.routine().map(str::to_owned)),
        ("hint", error.hint().map(str::to_owned)),
        ("table", error.table().map(str::to_owned)),
        ("datatype", error.datatype().map(str::to_owned)),
        ("schema", error.schema().map(str::to_owned)),
        ("file", error.file().map(str::to_owned)),
        ("line", error.line().map(|line| line.to_string())),
        ("where_", error.where_().map(str::to_owned)),
    ];
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text,
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        extras: extras
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }))
}
