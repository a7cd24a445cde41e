//! Health, readiness, version, the API document, and the 404 of everything else.

mod docs;
mod health;
mod ready;
mod version;

use http::Method;
use thought_diary::{Error, Request, Response, component};

component!("system", route);

async fn route(request: &mut Request) -> Result<Response, Error> {
    let known = match request.segments().as_slice() {
        ["health"] => Route::Health,
        ["ready"] => Route::Ready,
        ["version"] => Route::Version,
        ["openapi.json"] => Route::OpenApi,
        ["docs"] => Route::Page,
        ["docs", file] => Route::File(docs::File::find(file).ok_or(Error::NotFound)?),
        _ => return Err(Error::NotFound),
    };
    if request.method() != Method::GET {
        return Err(Error::MethodNotAllowed("GET, HEAD, OPTIONS"));
    }
    Ok(match known {
        Route::Health => health::health(),
        Route::Ready => ready::ready().await?,
        Route::Version => version::version(),
        Route::OpenApi => docs::openapi(),
        Route::Page => docs::page(),
        Route::File(file) => docs::file(file),
    })
}

enum Route {
    Health,
    Ready,
    Version,
    OpenApi,
    Page,
    File(&'static docs::File),
}
