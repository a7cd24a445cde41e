//! What two or more components of Thought Diary share: HTTP, errors, settings, sessions, Postgres and Redis.
//!
//! A component's `lib.rs` hands each request to [`http::serve`] with its route
//! table; everything that every answer must carry is added there, once.

pub mod config;
pub mod deadline;
pub mod digest;
pub mod error;
mod hs256;
pub mod http;
pub mod log;
pub mod pg;
pub mod redis;
pub mod session;

pub use error::Error;
pub use http::{Request, Response};
