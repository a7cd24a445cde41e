//! Diaries: `/diaries` and below, the sweep that analyzes entries on which the model failed, and the metrics.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod conditional;
mod config;
mod db;
mod entry;
mod handlers;
mod import;
mod list_query;
mod metrics;
mod sentiment;
mod sweep;
mod totals;
mod trend;

use thought_diary::component;

component! {
    "entries", Public,
    GET "/diaries" => handlers::list,
    POST "/diaries" => handlers::create,
    POST "/diaries/import" => import::import,
    GET "/diaries/stats" => handlers::stats,
    GET "/diaries/stats/trend" => handlers::trend,
    GET "/diaries/{id}" => handlers::read,
    PUT "/diaries/{id}" => handlers::update,
    DELETE "/diaries/{id}" => handlers::delete,
    POST "/diaries/{id}/analyze" => handlers::analyze,
    POST "/internal/sweep" => sweep::sweep,
    GET "/internal/backlog" => sweep::backlog,
    GET "/internal/metrics" => metrics::metrics,
}
