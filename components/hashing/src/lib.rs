//! Private component that hashes and verifies passwords for `auth`. It connects to nothing.
//!
//! A hash occupies its instance for some 40 ms, and the instance keeps the memory that the hash needed. With
//! hashing apart, the instances of `auth` stay small and go on with their other requests.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod handlers;
mod password;

use thought_diary::component;

component! {
    "hashing", Internal,
    POST "/hash" => handlers::hash,
    POST "/verify" => handlers::verify,
}
