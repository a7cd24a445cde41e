//! The interface `spin:postgres@4.2.0`: connections, statements and streams of rows.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult,
};

use crate::bindings::spin::postgres::postgres::{
    Column, Error, Host, HostConnection, HostConnectionBuilder, HostConnectionBuilderWithStore,
    HostConnectionWithStore, ParameterValue, Row, RowSet,
};
use crate::instances::HostState;
use crate::limits::Permit;
use crate::postgres_pool::{Client, RootCertificate};

/// How many connections an instance may have.
const MAX_CONNECTIONS: usize = 1024;

/// A component's connection, lent by the pool until it is dropped.
pub struct Connection {
    client: Client,
    _permit: Permit,
}

/// A connection in the making.
pub struct ConnectionBuilder {
    address: String,
    root: Option<RootCertificate>,
}

type Rows = (
    Vec<Column>,
    StreamReader<Row>,
    FutureReader<Result<(), Error>>,
);

impl Host for HostState {}

impl HostState {
    fn postgres(&self, connection: &Resource<Connection>) -> Result<Client, Error> {
        match self.table.get(connection) {
            Ok(open) => Ok(open.client.clone()),
            Err(_) => Err(Error::ConnectionFailed("no connection found".to_owned())),
        }
    }

    fn keep_postgres(&mut self, connection: Connection) -> Result<Resource<Connection>, Error> {
        if self.postgres_connections >= MAX_CONNECTIONS {
            return Err(Error::ConnectionFailed("too many connections".to_owned()));
        }
        let resource = self.table.push(connection);
        self.postgres_connections += 1;
        resource.map_err(|_| Error::ConnectionFailed("too many connections".to_owned()))
    }

    fn builder(
        &mut self,
        builder: &Resource<ConnectionBuilder>,
    ) -> Result<&mut ConnectionBuilder, Error> {
        let found = self.table.get_mut(builder);
        found.map_err(|_| Error::ConnectionFailed("no builder found".to_owned()))
    }
}

impl crate::app::Component {
    /// Opens a connection if the component may reach `address`.
    async fn open_postgres(
        &self,
        address: &str,
        root: Option<&RootCertificate>,
    ) -> Result<Connection, Error> {
        self.check_postgres(address)?;
        let permit = self.postgres_limit.acquire().await;
        let client = self.postgres.get(address, root).await;
        Ok(Connection {
            client: client.map_err(|error| Error::ConnectionFailed(format!("{error:?}")))?,
            _permit: permit,
        })
    }

    /// Every host of the address must be allowed, with its port.
    fn check_postgres(&self, address: &str) -> Result<(), Error> {
        let refused = |reason: String| Err(Error::ConnectionFailed(reason));
        let config: tokio_postgres::Config = match address.parse() {
            Ok(config) => config,
            Err(error) => return refused(error.to_string()),
        };
        let ports = config.get_ports();
        for (index, host) in config.get_hosts().iter().enumerate() {
            let tokio_postgres::config::Host::Tcp(host) = host else {
                return refused("Unix sockets are not supported on WebAssembly".to_owned());
            };
            let port = match ports {
                [port] => Some(port),
                _ => ports.get(index),
            };
            let url = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            if !self.allowed_hosts.allows(&url, "postgres") {
                return refused(format!("address postgres://{url} is not permitted"));
            }
        }
        Ok(())
    }
}

impl HostConnection for HostState {
    async fn open(&mut self, address: String) -> Result<Resource<Connection>, Error> {
        let component = self.component.clone();
        let connection = component.open_postgres(&address, None).await?;
        self.keep_postgres(connection)
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<RowSet, Error> {
        self.postgres(&connection)?
            .query(&statement, &parameters)
            .await
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Error> {
        self.postgres(&connection)?
            .execute(&statement, &parameters)
            .await
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.postgres_connections -= 1;
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for HostState {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let component = accessor.with(|mut access| access.get().component.clone());
        let connection = component.open_postgres(&address, None).await?;
        accessor.with(|mut access| access.get().keep_postgres(connection))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Error> {
        let client = accessor.with(|mut access| access.get().postgres(&connection))?;
        client.execute(&statement, &parameters).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Rows, Error> {
        let client = accessor.with(|mut access| access.get().postgres(&connection))?;
        let answer = client.query_streamed(&statement, &parameters).await?;
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, RowProducer(answer.rows));
            let end = FutureReader::new(&mut access, answer.end);
            match (rows, end) {
                (Ok(rows), Ok(end)) => Ok((answer.columns, rows, end)),
                (Err(error), _) | (_, Err(error)) => Err(Error::Other(error.to_string())),
            }
        })
    }
}

impl HostConnectionBuilder for HostState {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        let builder = ConnectionBuilder {
            address,
            root: None,
        };
        Ok(self.table.push(builder)?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> Result<(), Error> {
        let root = RootCertificate::from_pem(&certificate)
            .map_err(|error| Error::Other(format!("invalid root certificate: {error}")))?;
        self.builder(&builder)?.root = Some(root);
        Ok(())
    }

    async fn build(
        &mut self,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Resource<Connection>, Error> {
        let ConnectionBuilder { address, root } = self.builder(&builder)?;
        let (address, root) = (address.clone(), root.clone());
        let component = self.component.clone();
        let connection = component.open_postgres(&address, root.as_ref()).await?;
        self.keep_postgres(connection)
    }

    async fn drop(&mut self, builder: Resource<ConnectionBuilder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionBuilderWithStore<T> for HostState {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Resource<Connection>, Error> {
        let (component, address, root) = accessor.with(|mut access| {
            let state = access.get();
            let component = state.component.clone();
            let ConnectionBuilder { address, root } = state.builder(&builder)?;
            Ok::<_, Error>((component, address.clone(), root.clone()))
        })?;
        let connection = component.open_postgres(&address, root.as_ref()).await?;
        accessor.with(|mut access| access.get().keep_postgres(connection))
    }
}

/// Hands rows to the component one at a time, as they come from the server.
struct RowProducer(mpsc::Receiver<Row>);

impl<D> StreamProducer<D> for RowProducer {
    type Item = Row;
    type Buffer = Option<Row>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Row, Option<Row>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        Poll::Ready(Ok(match self.get_mut().0.poll_recv(cx) {
            Poll::Ready(Some(row)) => {
                destination.set_buffer(Some(row));
                StreamResult::Completed
            }
            Poll::Ready(None) => StreamResult::Dropped,
            Poll::Pending if finish => StreamResult::Cancelled,
            Poll::Pending => return Poll::Pending,
        }))
    }
}
