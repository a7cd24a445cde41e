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
mod export;
mod handlers;
mod hashing;
mod parameters;
mod rate_limit;
mod slots;
mod user;

use thought_diary::component;

component! {
    "auth", Public,
    POST "/auth/register" => handlers::register,
    POST "/auth/login" => handlers::login,
    POST "/auth/refresh" => handlers::refresh,
    POST "/auth/logout" => handlers::logout,
    POST "/auth/logout-all" => handlers::logout_all,
    GET "/auth/sessions" => handlers::sessions,
    DELETE "/auth/sessions/{id}" => handlers::end_session,
    PUT "/auth/password" => handlers::change_password,
    GET "/auth/me" => handlers::me,
    DELETE "/auth/me" => handlers::delete_account,
    GET "/auth/me/export" => export::export,
}
