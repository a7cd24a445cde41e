//! What a user may do, in the contract's order.

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use thought_diary::{
    Error, Request, Response,
    http::{json, no_content, raw_json},
    session::Kind,
};

use crate::{
    config::Config,
    db,
    entry::{Draft, Id},
    page::Page,
    sentiment,
};

/// `GET /diaries`
pub async fn list(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let page = Page::parse(request.query())?;
    let listed = db::list(&config.database, &session, &page).await?;
    Ok(raw_json(StatusCode::OK, listed))
}

/// `POST /diaries`
pub async fn create(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let content = request.json::<Draft>().await?.content()?;
    let analysis = sentiment::analyze(request, config, &content).await;
    let diary = db::create(&config.database, &session, &content, analysis).await?;
    let location = serde_json::from_str(&diary)
        .ok()
        .and_then(|Created { id }| HeaderValue::try_from(format!("/diaries/{id}")).ok());
    let mut response = raw_json(StatusCode::CREATED, diary);
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What the address of a new entry is made of.
#[derive(Deserialize)]
struct Created {
    id: i32,
}

/// `GET /diaries/{id}`
pub async fn read(request: &mut Request, id: Id) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let diary = db::read(&config.database, &session, id).await?;
    Ok(raw_json(StatusCode::OK, diary))
}

/// `PUT /diaries/{id}`
pub async fn update(request: &mut Request, id: Id) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let content = request.json::<Draft>().await?.content()?;
    let analysis = sentiment::analyze(request, config, &content).await;
    let diary = db::update(&config.database, &session, id, &content, analysis).await?;
    Ok(raw_json(StatusCode::OK, diary))
}

/// `POST /diaries/{id}/analyze`: has an entry analysed again, after the model failed for instance.
pub async fn analyze(request: &mut Request, id: Id) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let content = db::content(&config.database, &session, id).await?;
    let diary = match sentiment::analyze(request, config, &content).await {
        Some(analysis) => db::analyze(&config.database, &session, id, &content, analysis).await?,
        None => db::read(&config.database, &session, id).await?,
    };
    Ok(raw_json(StatusCode::OK, diary))
}

/// `DELETE /diaries/{id}`
pub async fn delete(request: &mut Request, id: Id) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    db::delete(&config.database, &session, id).await?;
    Ok(no_content())
}

/// `GET /diaries/stats`
pub async fn stats(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let totals = db::stats(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &totals))
}
