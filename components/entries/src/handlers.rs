//! The handlers of `/diaries`, in the order of the API document.

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use thought_diary::{
    Error, Response,
    http::Context,
    response::{json, no_content, raw_json},
    session::Session,
};

use crate::{
    config::Config,
    db,
    entry::{Content, Id},
    page::Page,
    sentiment,
};

/// `GET /diaries`
pub async fn list(
    config: &'static Config,
    session: Session,
    page: Page,
) -> Result<Response, Error> {
    let list = db::list(&config.database, &session, &page).await?;
    Ok(raw_json(StatusCode::OK, list))
}

/// `POST /diaries`
pub async fn create(
    context: Context,
    config: &'static Config,
    session: Session,
    content: Content,
) -> Result<Response, Error> {
    let analysis = sentiment::analyze(&context, config, &content).await;
    let diary = db::create(&config.database, &session, &content, analysis).await?;
    if let Some(location) = location(&diary) {
        context.set_header(header::LOCATION, location);
    }
    Ok(raw_json(StatusCode::CREATED, diary))
}

/// Returns the path of a new entry.
fn location(diary: &str) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Diary {
        id: i32,
    }
    let Diary { id } = serde_json::from_str(diary).ok()?;
    HeaderValue::try_from(format!("/diaries/{id}")).ok()
}

/// `GET /diaries/{id}`
pub async fn read(config: &'static Config, id: Id, session: Session) -> Result<Response, Error> {
    let diary = db::read(&config.database, &session, id).await?;
    Ok(raw_json(StatusCode::OK, diary))
}

/// `PUT /diaries/{id}`
pub async fn update(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
    content: Content,
) -> Result<Response, Error> {
    let analysis = sentiment::analyze(&context, config, &content).await;
    let diary = db::update(&config.database, &session, id, &content, analysis).await?;
    Ok(raw_json(StatusCode::OK, diary))
}

/// `POST /diaries/{id}/analyze`: re-analyzes an entry, for example after the model failed on it.
pub async fn analyze(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
) -> Result<Response, Error> {
    let content = db::content(&config.database, &session, id).await?;
    let diary = match sentiment::analyze(&context, config, &content).await {
        Some(analysis) => db::attach(&config.database, &session, id, &content, analysis).await?,
        None => db::read(&config.database, &session, id).await?,
    };
    Ok(raw_json(StatusCode::OK, diary))
}

/// `DELETE /diaries/{id}`
pub async fn delete(config: &'static Config, id: Id, session: Session) -> Result<Response, Error> {
    db::delete(&config.database, &session, id).await?;
    Ok(no_content())
}

/// `GET /diaries/stats`
pub async fn stats(config: &'static Config, session: Session) -> Result<Response, Error> {
    let totals = db::stats(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &totals))
}
