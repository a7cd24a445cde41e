//! Tests of what a component or an operator can observe, on the real host with the probe component.
//!
//! With `TEST_RUNTIME=/path/to/spin` they run on Spin instead, and hold there as well. They need
//! `TEST_DATABASE_URL`, `TEST_REDIS_URL` and the probe built for wasm: `cargo xtask test` sees to all.

mod chaining;
mod client;
mod instances;
mod outbound_http;
mod postgres;
mod redis;
mod requests;
mod runtime;
mod shutdown;
mod start;
mod tls;
mod variables;
