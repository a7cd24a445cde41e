//! The interface `spin:redis@3.0.0`: one TCP connection for each `open`, no pool and no timeouts.

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use wasmtime::component::{Accessor, Resource};

use crate::bindings::spin::redis::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, Payload, RedisParameter, RedisResult,
};
use crate::instances::HostState;
use crate::limits::Permit;

/// How many connections an instance may have.
const MAX_CONNECTIONS: usize = 1024;
/// How large an answer may be.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// A component's connection: its requests share it.
pub struct Connection {
    connection: MultiplexedConnection,
    _permit: Permit,
}

impl Host for HostState {}

impl HostConnection for HostState {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.redis_connections -= 1;
        self.table.delete(connection)?;
        Ok(())
    }
}

fn get<T>(
    accessor: &Accessor<T, HostState>,
    connection: &Resource<Connection>,
) -> Result<MultiplexedConnection, Error> {
    accessor.with(|mut access| match access.get().table.get(connection) {
        Ok(open) => Ok(open.connection.clone()),
        Err(_) => Err(Error::Other(
            "could not find connection for resource".to_owned(),
        )),
    })
}

async fn connect(address: &str) -> Result<MultiplexedConnection, Error> {
    let client = redis::Client::open(address).map_err(|_| Error::InvalidAddress)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.map_err(other)
}

impl<T: Send> HostConnectionWithStore<T> for HostState {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let component = accessor.with(|mut access| access.get().component.clone());
        if !component.allowed_hosts.allows(&address, "redis") {
            return Err(Error::InvalidAddress);
        }
        let permit = component.redis_limit.acquire().await;
        let connection = Connection {
            connection: connect(&address).await?,
            _permit: permit,
        };
        accessor.with(|mut access| {
            let state = access.get();
            if state.redis_connections >= MAX_CONNECTIONS {
                return Err(Error::TooManyConnections);
            }
            let resource = state.table.push(connection);
            state.redis_connections += 1;
            resource.map_err(|_| Error::TooManyConnections)
        })
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Payload,
    ) -> Result<(), Error> {
        let mut connection = get(accessor, &connection)?;
        connection.publish(channel, payload).await.map_err(other)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Option<Payload>, Error> {
        let mut connection = get(accessor, &connection)?;
        let value: Option<Payload> = connection.get(key).await.map_err(other)?;
        check_size(size_of::<Option<Payload>>() + value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Payload,
    ) -> Result<(), Error> {
        let mut connection = get(accessor, &connection)?;
        connection.set(key, value).await.map_err(other)
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        let mut connection = get(accessor, &connection)?;
        connection.incr(key, 1).await.map_err(other)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = get(accessor, &connection)?;
        connection.del(keys).await.map_err(other)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = get(accessor, &connection)?;
        let added = connection.sadd(key, values).await;
        added.map_err(|error: RedisError| match error.kind() {
            ErrorKind::UnexpectedReturnType => Error::TypeError,
            _ => other(error),
        })
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let mut connection = get(accessor, &connection)?;
        connection.smembers(key).await.map_err(other)
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = get(accessor, &connection)?;
        connection.srem(key, values).await.map_err(other)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let mut connection = get(accessor, &connection)?;
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let answer: Value = command.query_async(&mut connection).await.map_err(other)?;
        let mut results = Vec::new();
        flatten(answer, &mut results)?;
        check_size(size_of::<Vec<RedisResult>>() + results.iter().map(size).sum::<usize>())?;
        Ok(results)
    }
}

/// Appends what `answer` holds; of nested arrays only the order of their elements is left.
fn flatten(answer: Value, results: &mut Vec<RedisResult>) -> Result<(), Error> {
    results.push(match answer {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::Boolean(truth) => RedisResult::Int64(truth.into()),
        Value::BigNumber(digits) => RedisResult::Binary(digits),
        Value::Array(values) | Value::Set(values) => {
            return values
                .into_iter()
                .try_for_each(|value| flatten(value, results));
        }
        Value::Map(_) => return Err(unsupported("Redis Map type is not supported")),
        Value::Attribute { .. } => {
            return Err(unsupported("Redis Attribute type is not supported"));
        }
        Value::VerbatimString { .. } => {
            return Err(unsupported(
                "Redis string with format attribute is not supported",
            ));
        }
        Value::Push { .. } => return Err(unsupported("Redis Pub/Sub types are not supported")),
        Value::ServerError(error) => return Err(Error::Other(error.to_string())),
        _ => return Err(unsupported("Redis type is not supported")),
    });
    Ok(())
}

fn unsupported(what: &str) -> Error {
    Error::Other(format!(
        "Could not convert Redis response - TypeError: {what}"
    ))
}

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_ANSWER_BYTES {
        let message = format!("query result exceeds limit of {MAX_ANSWER_BYTES} bytes");
        return Err(Error::Other(message));
    }
    Ok(())
}

fn size(result: &RedisResult) -> usize {
    size_of::<RedisResult>()
        + match result {
            RedisResult::Nil | RedisResult::Int64(_) => 0,
            RedisResult::Binary(bytes) => bytes.len(),
            RedisResult::Status(text) => text.len(),
        }
}

fn other(error: RedisError) -> Error {
    Error::Other(told(&error))
}

/// The error's text as the version of the driver that is in Spin has it.
fn told(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default();
    let kind = match error.kind() {
        ErrorKind::Extension | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return format!("{}: {detail}", error.code().unwrap_or_default());
        }
        ErrorKind::Server(ServerErrorKind::ExecAbort) => "ExecAbortError".to_owned(),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "BusyLoadingError".to_owned(),
        ErrorKind::Server(ServerErrorKind::NoScript) => "NoScriptError".to_owned(),
        ErrorKind::Server(kind) => format!("{kind:?}"),
        _ => return error.to_string(),
    };
    format!("An error was signalled by the server - {kind}: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_answers_are_flattened() {
        let answer = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![Value::Nil, Value::BulkString(b"x".to_vec())]),
            Value::Array(Vec::new()),
            Value::Okay,
        ]);
        let mut results = Vec::new();
        flatten(answer, &mut results).expect("all are supported");
        assert!(
            matches!(
                &results[..],
                [RedisResult::Int64(1), RedisResult::Nil, RedisResult::Binary(x), RedisResult::Status(ok)]
                    if x == b"x" && ok == "OK"
            ),
            "{results:?}"
        );
    }

    #[test]
    fn what_the_interface_cannot_express_is_an_error() {
        let mut results = Vec::new();
        assert!(flatten(Value::Map(Vec::new()), &mut results).is_err());
    }
}
