//! Marks the emotional phrases of a text; reachable from other components only.

mod ask;
mod cache;
mod circuit;
mod config;
mod handlers;
mod lexicon;
mod markup;
mod memory;
mod provider;

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
