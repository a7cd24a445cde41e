//! Diaries: `/diaries` and below, and the sweep that has them analysed later.

mod config;
mod db;
mod entry;
mod handlers;
mod page;
mod sentiment;
mod sweep;

use http::Method;
use thought_diary::{Error, Request, Response, component};

component!("entries", route);

async fn route(request: &mut Request) -> Result<Response, Error> {
    let method = request.method().clone();
    match (request.segments().as_slice(), method) {
        (["diaries"], Method::GET) => handlers::list(request).await,
        (["diaries"], Method::POST) => handlers::create(request).await,
        (["diaries"], _) => Err(Error::MethodNotAllowed("GET, HEAD, POST, OPTIONS")),
        (["diaries", "stats"], Method::GET) => handlers::stats(request).await,
        (["diaries", "stats"], _) => Err(Error::MethodNotAllowed("GET, HEAD, OPTIONS")),
        (["diaries", id], method) => {
            let id = entry::Id::parse(id)?;
            match method {
                Method::GET => handlers::read(request, id).await,
                Method::PUT => handlers::update(request, id).await,
                Method::DELETE => handlers::delete(request, id).await,
                _ => Err(Error::MethodNotAllowed("GET, HEAD, PUT, DELETE, OPTIONS")),
            }
        }
        (["diaries", id, "analyze"], method) => {
            let id = entry::Id::parse(id)?;
            match method {
                Method::POST => handlers::analyze(request, id).await,
                _ => Err(Error::MethodNotAllowed("POST, OPTIONS")),
            }
        }
        (["internal", "sweep"], Method::POST) => sweep::sweep(request).await,
        (["internal", "sweep"], _) => Err(Error::MethodNotAllowed("POST, OPTIONS")),
        _ => Err(Error::NotFound),
    }
}
