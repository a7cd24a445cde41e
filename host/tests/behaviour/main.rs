//! What the host does as Spin does it, each test a behaviour that a component or its operator can notice.
//!
//! The tests start the real host with the real probe component. With `TEST_RUNTIME=/path/to/spin`
//! they start that binary instead: they hold for both. They need `TEST_DATABASE_URL` and
//! `TEST_REDIS_URL`, and the probe built for wasm.

mod chaining;
mod client;
mod instances;
mod outbound_http;
mod postgres;
mod redis;
mod requests;
mod runtime;
mod start;
mod variables;
