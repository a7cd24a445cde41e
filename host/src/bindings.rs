//! Rust types and traits generated from `wit/`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "imports",
    imports: {
        // A constructor cannot return an error: a full resource table traps.
        "spin:postgres/postgres.[constructor]connection-builder": trappable,
    },
    with: {
        "spin:postgres/postgres.connection": crate::postgres_pool::Connection,
        "spin:postgres/postgres.connection-builder": crate::postgres_pool::Target,
        "spin:redis/redis.connection": crate::redis_client::Connection,
    },
});

pub use spin::postgres::postgres;
pub use spin::redis::redis;
pub use spin::variables::variables;
