//! Accounts and logins: `/auth/...`.

mod config;
mod db;
mod handlers;
mod password;
mod rate_limit;
mod user;

use http::Method;
use thought_diary::{Error, Request, Response, component};

component!("auth", route);

async fn route(request: &mut Request) -> Result<Response, Error> {
    let method = request.method().clone();
    match (request.segments().as_slice(), method) {
        (["auth", "register"], Method::POST) => handlers::register(request).await,
        (["auth", "login"], Method::POST) => handlers::login(request).await,
        (["auth", "refresh"], Method::POST) => handlers::refresh(request).await,
        (["auth", "logout"], Method::POST) => handlers::logout(request).await,
        (["auth", "me"], Method::GET) => handlers::me(request).await,
        (["auth", "me"], _) => Err(Error::MethodNotAllowed("GET, HEAD, OPTIONS")),
        (["auth", "register" | "login" | "refresh" | "logout"], _) => {
            Err(Error::MethodNotAllowed("POST, OPTIONS"))
        }
        _ => Err(Error::NotFound),
    }
}
