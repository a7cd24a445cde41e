//! `spin:postgres`.

use std::sync::Arc;

use deadpool_postgres::Object;
use futures::{StreamExt, pin_mut};
use tokio_postgres::config::Host as ServerHost;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::postgres::{
    Column, DbError, Error, Host, HostConnection, HostConnectionBuilder,
    HostConnectionBuilderWithStore, HostConnectionWithStore, ParameterValue, QueryError, Row,
};
use crate::component::Component;
use crate::postgres_pool::{Connection, Target};
use crate::postgres_values::{from_sql, to_sql};
use crate::state::HostState;

/// The result of `query-async`: columns, rows, and the outcome of the statement.
type Rows = (
    Vec<Column>,
    StreamReader<Row>,
    FutureReader<Result<(), Error>>,
);

impl Host for HostState {}

impl HostConnection for HostState {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for HostState {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        open(accessor, Target::new(address)).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Rows, Error> {
        let client = accessor.with(|mut access| {
            let connection = access.get().table.get(&connection);
            connection.map(|connection| connection.client.clone())
        });
        let client = client.map_err(|error| Error::ConnectionFailed(error.to_string()))?;
        let (columns, rows, outcome) = query(&client, &statement, parameters).await?;
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, rows);
            let outcome = FutureReader::new(&mut access, async { wasmtime::error::Ok(outcome) });
            match (rows, outcome) {
                (Ok(rows), Ok(outcome)) => Ok((columns, rows, outcome)),
                (Err(error), _) | (_, Err(error)) => Err(Error::Other(error.to_string())),
            }
        })
    }
}

impl HostConnectionBuilder for HostState {
    fn new(&mut self, address: String) -> wasmtime::Result<Resource<Target>> {
        Ok(self.table.push(Target::new(address))?)
    }

    fn set_ca_root(&mut self, builder: Resource<Target>, certificate: String) -> Result<(), Error> {
        let target = self.table.get_mut(&builder);
        let target = target.map_err(|error| Error::Other(error.to_string()))?;
        let trusted = target.trust(&certificate);
        trusted.map_err(|error| Error::Other(format!("invalid root certificate: {error}")))
    }

    fn drop(&mut self, builder: Resource<Target>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionBuilderWithStore<T> for HostState {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<Target>,
    ) -> Result<Resource<Connection>, Error> {
        let target = accessor.with(|mut access| access.get().table.get(&builder).cloned());
        let target = target.map_err(|error| Error::Other(error.to_string()))?;
        open(accessor, target).await
    }
}

async fn open<T: Send>(
    accessor: &Accessor<T, HostState>,
    target: Target,
) -> Result<Resource<Connection>, Error> {
    let component = accessor.with(|mut access| access.get().component.clone());
    check_allowed(&component, &target)?;
    let permit = component.shared.postgres_limit.acquire().await;
    let connection = component.postgres.get(&target, permit).await;
    let connection = connection.map_err(|error| Error::ConnectionFailed(format!("{error:?}")))?;
    let resource = accessor.with(|mut access| access.get().table.push(connection));
    resource.map_err(|_| Error::ConnectionFailed("too many connections".to_owned()))
}

/// Checks that every host of the address is allowed, with its port.
fn check_allowed(component: &Component, target: &Target) -> Result<(), Error> {
    let config = target.config();
    let config = config.map_err(|error| Error::ConnectionFailed(error.to_string()))?;
    let ports = config.get_ports();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let ServerHost::Tcp(host) = host else {
            let message = "Unix sockets are not supported on WebAssembly";
            return Err(Error::ConnectionFailed(message.to_owned()));
        };
        // A single port applies to all hosts.
        let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
        let url = if host.contains(':') {
            format!("postgres://[{host}]:{port}")
        } else {
            format!("postgres://{host}:{port}")
        };
        if !component.allowed_hosts.allows(&url) {
            let message = format!("address {url} is not permitted");
            return Err(Error::ConnectionFailed(message));
        }
    }
    Ok(())
}

/// Runs a statement to its end and returns columns, rows and outcome. As in Spin, an error that comes
/// with the rows, for example a violated constraint, is in the outcome, and a result without rows has
/// no columns.
async fn query(
    client: &Arc<Object>,
    statement: &str,
    parameters: Vec<ParameterValue>,
) -> Result<(Vec<Column>, Vec<Row>, Result<(), Error>), Error> {
    let values: anyhow::Result<Vec<_>> = parameters.into_iter().map(to_sql).collect();
    let values = values.map_err(|error| Error::BadParameter(format!("{error:?}")))?;
    let found = client.query_raw(statement, values).await;
    let found = found.map_err(|error| query_failed(&error))?;
    pin_mut!(found);
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    let outcome = loop {
        let row = match found.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(query_failed(&error)),
            Some(Ok(row)) => row,
        };
        let mut values = Vec::new();
        columns.clear();
        for (index, column) in row.columns().iter().enumerate() {
            let (data_type, value) = match from_sql(&row, index) {
                Ok(found) => found,
                Err(error) => {
                    let text = QueryError::Text(format!("{error:?}"));
                    return Ok((columns, rows, Err(Error::QueryFailed(text))));
                }
            };
            let name = column.name().to_owned();
            columns.push(Column { name, data_type });
            values.push(value);
        }
        rows.push(values);
    };
    Ok((columns, rows, outcome))
}

/// Converts an error, with everything that the server sent.
fn query_failed(error: &tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    let Some(error) = error.as_db_error() else {
        return Error::QueryFailed(QueryError::Text(as_text));
    };
    let extras = [
        ("schema", error.schema()),
        ("table", error.table()),
        ("column", error.column()),
        ("datatype", error.datatype()),
        ("constraint", error.constraint()),
        ("hint", error.hint()),
        ("where_", error.where_()),
    ];
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text,
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        extras: extras
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect(),
    }))
}
