//! HTTP, errors, settings, sessions, Postgres and Redis: code that two or more components share.
//!
//! A component's `lib.rs` is a table of routes in [`component!`]; [`http::serve`]
//! dispatches each request to its handler and adds what every response carries.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod analysis;
mod background;
pub mod config;
pub mod digest;
mod dsn;
pub mod error;
pub mod hashing;
mod hs256;
pub mod http;
mod key;
pub mod log;
pub mod metrics;
pub mod pg;
pub mod rate_limit;
pub mod redis;
pub mod response;
pub mod session;
mod time;
pub mod timeout;
pub mod timings;

pub use error::Error;
pub use response::Response;
pub use time::timestamp;
