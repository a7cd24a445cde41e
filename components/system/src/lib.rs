//! Health, readiness, version, the API document, and the 404 of every other path.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod db;
mod docs;
mod health;
mod ready;
mod version;

use thought_diary::component;

component! {
    "system", Public,
    GET "/health" => health::health,
    GET "/ready" => ready::ready,
    GET "/version" => version::version,
    GET "/openapi.json" => docs::openapi,
    GET "/docs" => docs::page,
    GET "/docs/{file}" => docs::file,
}
