//! Private component that marks the emotional phrases of a text.
//!
//! `POST /analyze` takes a text and returns it as HTML with positive and negative phrases marked. The
//! [`model`] finds the phrases where one is configured and reachable, the built-in [`lexicon`] otherwise.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod analysis;
mod config;
mod handlers;
mod lexicon;
mod markup;
mod model;
#[cfg(test)]
mod round_trip;

use http::Method;
use thought_diary::{Error, Request, Response, component};

component!("sentiment", route, Components);

async fn route(request: &mut Request) -> Result<Response, Error> {
    let method = request.method().clone();
    match (request.segments().as_slice(), method) {
        (["analyze"], Method::POST) => handlers::analyze(request).await,
        (["analyze"], _) => Err(Error::MethodNotAllowed("POST, OPTIONS")),
        _ => Err(Error::NotFound),
    }
}
