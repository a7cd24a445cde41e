//! Rust types and traits of the Spin interfaces, generated from the WIT files inside the spin-sdk crate.

/// Called by the file that `build.rs` writes, with the folder of the WIT files.
macro_rules! bindings_from {
    ($wit:literal) => {
        wasmtime::component::bindgen!({
            path: $wit,
            inline: "
                package embedded:host;
                world imports {
                    import spin:postgres/postgres@4.2.0;
                    import spin:redis/redis@3.0.0;
                    import spin:variables/variables@3.0.0;
                }
            ",
            imports: {
                // A constructor has no error to return, so a full table can only trap.
                "spin:postgres/postgres.[constructor]connection-builder": async | trappable,
                default: async,
            },
            with: {
                "spin:postgres/postgres.connection": crate::postgres::Connection,
                "spin:postgres/postgres.connection-builder": crate::postgres::ConnectionBuilder,
                "spin:redis/redis.connection": crate::redis::Connection,
            },
        });
    };
}

include!(concat!(env!("OUT_DIR"), "/wit.rs"));
