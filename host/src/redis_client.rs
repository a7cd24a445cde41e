//! Redis connections. As in Spin, each `open` makes a new one, and there are no timeouts.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};

use crate::limits::Permit;

/// A connection, shared by the requests of an instance.
pub struct Connection {
    /// Sends commands; clones share the TCP connection.
    pub client: MultiplexedConnection,
    _permit: Permit,
}

impl Connection {
    /// Connects to a `redis://` or, with TLS, a `rediss://` URL.
    pub async fn open(address: &str, permit: Permit) -> Result<Self, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = Client::open(address)?;
        let client = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            client: client.await?,
            _permit: permit,
        })
    }
}
