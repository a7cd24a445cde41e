//! Marks the emotional phrases of a text; reachable from other components only.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ask;
mod cache;
mod circuit;
mod config;
mod handlers;
mod lexicon;
mod markup;
mod memory;
mod provider;

use thought_diary::component;

component! {
    "sentiment", Internal,
    POST "/analyze" => handlers::analyze,
}
