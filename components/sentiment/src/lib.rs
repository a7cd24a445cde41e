//! Private component that marks the emotional phrases of a text.
//!
//! `POST /analyze` takes a text and returns it as HTML with positive and negative phrases marked. The
//! [`model`] finds the phrases where one is configured and reachable, the built-in [`lexicon`] otherwise.

// A panic ends all requests of the instance, up to 16.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod config;
mod handlers;
mod lexicon;
mod markup;
mod model;
#[cfg(test)]
mod round_trip;

use thought_diary::component;

component! {
    "sentiment", Internal,
    POST "/analyze" => handlers::analyze,
}
