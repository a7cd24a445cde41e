//! The handlers of `/diaries`, in the order of the API document.

use http::{HeaderValue, StatusCode, header};
use thought_diary::{
    Error, Response,
    analysis::{Analysis, Fallback, ModelUse},
    http::Context,
    log::Level,
    response::{json, no_content},
    session::Session,
};

use crate::{
    conditional::{IdempotencyKey, IfMatch, IfNoneMatch, Tagged},
    config::Config,
    db::{self, NewKey, NewVersion, Stored, WriteLimit},
    entry::{Content, Draft, Id},
    list_query::ListQuery,
    sentiment,
    trend::TrendQuery,
};

/// `GET /diaries`
pub async fn list(
    context: Context,
    config: &'static Config,
    session: Session,
    query: ListQuery,
    if_none_match: IfNoneMatch,
) -> Result<Response, Error> {
    let list = db::list(&config.database, &session, &query).await?;
    Ok(list.respond_if_changed(&context, &if_none_match))
}

/// `POST /diaries`
pub async fn create(
    context: Context,
    config: &'static Config,
    session: Session,
    IdempotencyKey(key): IdempotencyKey,
    draft: Draft,
) -> Result<Response, Error> {
    let version = analyze_without_model(&context, config, &session, &draft).await;
    let is_pending = is_pending(version.analysis.as_ref());
    let limit = WriteLimit::new(config.write_limit, &context);
    let key = key.map(|key| {
        let identity = draft.identity();
        NewKey {
            key,
            digest: config.keys.digest("idempotency", &identity),
            previous_digest: config.keys.previous_digest("idempotency", &identity),
        }
    });
    let stored = db::create(&config.database, &session, limit, version, key).await?;
    if let Ok(location) = HeaderValue::try_from(format!("/diaries/{}", stored.id)) {
        context.set_header(header::LOCATION, location);
    }
    let diary = attach_model_marks(
        &context,
        config,
        &session,
        &draft.content,
        stored,
        is_pending,
    )
    .await;
    Ok(diary.respond(&context, StatusCode::CREATED))
}

/// `GET /diaries/{id}`
pub async fn read(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
    if_none_match: IfNoneMatch,
) -> Result<Response, Error> {
    let diary = db::read(&config.database, &session, id).await?;
    Ok(diary.respond_if_changed(&context, &if_none_match))
}

/// `PUT /diaries/{id}`
pub async fn update(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
    draft: Draft,
    IfMatch(if_match): IfMatch,
) -> Result<Response, Error> {
    let version = analyze_without_model(&context, config, &session, &draft).await;
    let is_pending = is_pending(version.analysis.as_ref());
    let limit = WriteLimit::new(config.write_limit, &context);
    let stored = db::update(&config.database, &session, limit, id, version, if_match).await?;
    let diary = attach_model_marks(
        &context,
        config,
        &session,
        &draft.content,
        stored,
        is_pending,
    )
    .await;
    Ok(diary.respond(&context, StatusCode::OK))
}

/// Returns the draft with the model's cached marks, or the lexicon's. Without marks when the sentiment component fails.
async fn analyze_without_model<'a>(
    context: &Context,
    config: &Config,
    session: &Session,
    draft: &'a Draft,
) -> NewVersion<'a> {
    let model = ModelUse::CachedOnly;
    let analysis = sentiment::analyze(context, config, session.user_id, &draft.content, model);
    let analysis = analysis.await.ok();
    let lease = config.analysis_lease(is_pending(analysis.as_ref()));
    NewVersion {
        draft,
        analysis,
        lease,
    }
}

/// Returns whether the model should be called for a text after it is stored.
fn is_pending(analysis: Option<&Analysis>) -> bool {
    analysis.is_some_and(|analysis| analysis.fallback == Some(Fallback::Pending))
}

/// Calls the model for an entry that was just stored, and attaches its marks.
///
/// The text is stored before the model is called, so that neither a slow model
/// nor a client that gives up can lose it or overwrite a newer one. If anything
/// fails here, the entry keeps the lexicon's marks, and the sweep calls the model later.
async fn attach_model_marks(
    context: &Context,
    config: &Config,
    session: &Session,
    content: &Content,
    stored: Stored,
    is_pending: bool,
) -> Tagged {
    if !(is_pending && stored.analysis_stored) {
        return stored.diary;
    }
    let analysis =
        sentiment::analyze(context, config, session.user_id, content, ModelUse::Call).await;
    let attached = db::attach(&config.database, stored.id, content, analysis).await;
    match attached {
        Ok(diary) => diary.unwrap_or(stored.diary),
        Err(error) => {
            let cause = error.cause().unwrap_or_default();
            let message = format!("marks were not attached, the sweep will retry: {cause}");
            context.log(Level::Warn, &message);
            stored.diary
        }
    }
}

/// `POST /diaries/{id}/analyze`: re-analyzes an entry, for example after the model failed on it.
pub async fn analyze(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
) -> Result<Response, Error> {
    let limit = WriteLimit::new(config.write_limit, &context);
    let entry = db::for_analysis(&config.database, &session, limit, id).await?;
    let attached = if entry.is_failed {
        None
    } else {
        let content = &entry.content;
        let analysis =
            sentiment::analyze(&context, config, session.user_id, content, ModelUse::Call).await;
        db::attach(&config.database, id.get(), &entry.content, analysis).await?
    };
    let diary = match attached {
        Some(diary) => diary,
        None => db::read(&config.database, &session, id).await?,
    };
    Ok(diary.respond(&context, StatusCode::OK))
}

/// `DELETE /diaries/{id}`
pub async fn delete(
    context: Context,
    config: &'static Config,
    id: Id,
    session: Session,
    IfMatch(if_match): IfMatch,
) -> Result<Response, Error> {
    let limit = WriteLimit::new(config.write_limit, &context);
    db::delete(&config.database, &session, limit, id, if_match).await?;
    Ok(no_content())
}

/// `GET /diaries/stats`
pub async fn stats(config: &'static Config, session: Session) -> Result<Response, Error> {
    let totals = db::stats(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &totals))
}

/// `GET /diaries/stats/trend`
pub async fn trend(
    config: &'static Config,
    session: Session,
    query: TrendQuery,
) -> Result<Response, Error> {
    let trend = db::trend(&config.database, &session, &query).await?;
    Ok(json(StatusCode::OK, &trend))
}
