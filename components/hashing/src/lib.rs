//! Private component that hashes and verifies passwords for `auth`. It connects to nothing.
//!
//! A hash occupies its instance for some 20 ms (bcrypt: 230 ms), and the instance keeps the memory of the hash. In a
//! component of its own, hashing neither blocks nor enlarges the instances of `auth`.

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
