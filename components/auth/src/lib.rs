//! Accounts and sessions: `/auth/...`.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod config;
mod db;
mod handlers;
mod password;
mod rate_limit;
mod user;

use thought_diary::component;

component! {
    "auth", Public,
    POST "/auth/register" => handlers::register,
    POST "/auth/login" => handlers::login,
    POST "/auth/refresh" => handlers::refresh,
    POST "/auth/logout" => handlers::logout,
    GET "/auth/me" => handlers::me,
}
