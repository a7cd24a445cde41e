//! `spin:redis`.

use redis::{RedisError, Value};
use wasmtime::component::{Accessor, Resource};

use crate::bindings::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use crate::redis_client::Connection;
use crate::state::HostState;

impl Host for HostState {}

impl HostConnection for HostState {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for HostState {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let component = accessor.with(|mut access| access.get().component.clone());
        if !component.allowed_hosts.allows(&address) {
            return Err(Error::InvalidAddress);
        }
        let permit = component.shared.redis_limit.acquire().await;
        let connection = Connection::open(&address, permit).await.map_err(other)?;
        let resource = accessor.with(|mut access| access.get().table.push(connection));
        resource.map_err(|_| Error::TooManyConnections)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let client = accessor.with(|mut access| {
            let connection = access.get().table.get(&connection);
            connection.map(|connection| connection.client.clone())
        });
        let mut client = client.map_err(|error| Error::Other(error.to_string()))?;
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let reply: Value = command.query_async(&mut client).await.map_err(other)?;
        let mut results = Vec::new();
        flatten(reply, &mut results)?;
        Ok(results)
    }
}

/// Appends the values in `reply`. Of nested arrays only the order of their elements remains, as in Spin.
fn flatten(reply: Value, results: &mut Vec<RedisResult>) -> Result<(), Error> {
    results.push(match reply {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Array(values) => {
            return values
                .into_iter()
                .try_for_each(|value| flatten(value, results));
        }
        Value::ServerError(error) => return Err(Error::Other(error.to_string())),
        // Only version 3 of the protocol (RESP3) has further types, and the client uses version 2.
        _ => return Err(Error::Other("unsupported type of reply".to_owned())),
    });
    Ok(())
}

fn other(error: RedisError) -> Error {
    Error::Other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattens_nested_replies() {
        let reply = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![Value::Nil, Value::BulkString(b"x".to_vec())]),
            Value::Array(Vec::new()),
            Value::Okay,
        ]);
        let mut results = Vec::new();
        flatten(reply, &mut results).expect("all types are supported");
        let shown: Vec<_> = results.iter().map(|result| format!("{result:?}")).collect();
        let expected = [
            "RedisResult::Int64(1)",
            "RedisResult::Nil",
            "RedisResult::Binary([120])",
            "RedisResult::Status(\"OK\")",
        ];
        assert_eq!(shown, expected);
    }
}
