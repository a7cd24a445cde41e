//! The SQL of `thought_diaries` and `user_stats` for users' requests: one statement per function.
//!
//! Postgres builds the JSON of a diary (`diary_json`), so that one column
//! crosses to the component instead of nine. Triggers maintain `user_stats`.

use serde::Serialize;
use thought_diary::{
    Error,
    analysis::{Analysis, Fallback},
    pg::{Database, Row, Statement},
    session::{SESSION_IS_ACTIVE, Session},
};

use crate::{
    entry::{Content, Id},
    page::Page,
};

/// JSON text built by Postgres, ready to be sent.
pub type Json = String;

/// Returns a page of the user's diaries, newest first.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn list(database: &Database, session: &Session, page: &Page) -> Result<Json, Error> {
    let statement = session
        .statement(
            "-- entries::db::list()
            select diary_page($session_id, $user_id, $page, $per_page) as page",
        )
        .bind("page", page.number)
        .bind("per_page", page.per_page);
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    row.get::<Option<Json>>("page")?.ok_or(Error::TokenRevoked)
}

/// Stores a new entry and returns it.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn create(
    database: &Database,
    session: &Session,
    content: &Content,
    analysis: Option<Analysis>,
) -> Result<Json, Error> {
    let statement = session.statement(
        "-- entries::db::create()
        select diary_create(
            $session_id, $user_id, $content, $analyzed_content, $positive_count, $negative_count,
            $analyzed_by, $analysis_status
        ) as diary",
    );
    let statement = bind_analysis(statement, content, analysis);
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    row.get::<Option<Json>>("diary")?.ok_or(Error::TokenRevoked)
}

/// Returns an entry.
///
/// # Errors
/// `token_revoked`; `forbidden` for another user's entry; `not_found`.
pub async fn read(database: &Database, session: &Session, id: Id) -> Result<Json, Error> {
    let statement = session.statement(format!(
        "-- entries::db::read()
        select
            (select user_id = $user_id from thought_diaries where id = $id) as is_owner,
            (select diary_json(entry) from thought_diaries entry where id = $id and user_id = $user_id) as result
        where {SESSION_IS_ACTIVE}"
    ));
    decode_owned(database.row(statement.bind("id", id.get())).await?)
}

/// Replaces the text of an entry and returns the entry.
///
/// # Errors
/// As [`read`].
pub async fn update(
    database: &Database,
    session: &Session,
    id: Id,
    content: &Content,
    analysis: Option<Analysis>,
) -> Result<Json, Error> {
    let statement = session.statement(format!(
        "-- entries::db::update()
        with updated as (
            update thought_diaries entry set
                content = $content,
                analyzed_content = $analyzed_content,
                positive_count = $positive_count,
                negative_count = $negative_count,
                analyzed_by = $analyzed_by,
                analysis_status = $analysis_status,
                analysis_retry_at = now() at time zone 'utc',
                analysis_attempts = 0,
                updated_at = now() at time zone 'utc'
            where id = $id and user_id = $user_id and {SESSION_IS_ACTIVE}
            returning diary_json(entry) as diary
        )
        select
            (select user_id = $user_id from thought_diaries where id = $id) as is_owner,
            (select diary from updated) as result
        where {SESSION_IS_ACTIVE}"
    ));
    let statement = bind_analysis(statement, content, analysis).bind("id", id.get());
    decode_owned(database.row(statement).await?)
}

/// Returns the text of an entry.
///
/// # Errors
/// As [`read`].
pub async fn content(database: &Database, session: &Session, id: Id) -> Result<Content, Error> {
    let statement = session.statement(format!(
        "-- entries::db::content()
        select
            (select user_id = $user_id from thought_diaries where id = $id) as is_owner,
            (select content from thought_diaries where id = $id and user_id = $user_id) as result
        where {SESSION_IS_ACTIVE}"
    ));
    decode_owned(database.row(statement.bind("id", id.get())).await?).map(Content::from_database)
}

/// Attaches an analysis of `content` to an entry and returns the entry.
///
/// Changes nothing if the entry has another text by now, or if the model marked
/// it before and failed this time.
///
/// # Errors
/// As [`read`].
pub async fn attach(
    database: &Database,
    session: &Session,
    id: Id,
    content: &Content,
    analysis: Analysis,
) -> Result<Json, Error> {
    let statement = session.statement(format!(
        "-- entries::db::attach()
        with updated as (
            update thought_diaries entry set
                analyzed_content = $analyzed_content,
                positive_count = $positive_count,
                negative_count = $negative_count,
                analyzed_by = $analyzed_by,
                analysis_status = $analysis_status,
                analysis_retry_at = now() at time zone 'utc'
            where id = $id and user_id = $user_id and content = $content
                and (analyzed_by is distinct from 'model' or $analyzed_by = 'model')
                and {SESSION_IS_ACTIVE}
            returning diary_json(entry) as diary
        )
        select
            (select user_id = $user_id from thought_diaries where id = $id) as is_owner,
            coalesce(
                (select diary from updated),
                (select diary_json(entry) from thought_diaries entry where id = $id and user_id = $user_id)
            ) as result
        where {SESSION_IS_ACTIVE}"
    ));
    let statement = bind_analysis(statement, content, Some(analysis)).bind("id", id.get());
    decode_owned(database.row(statement).await?)
}

/// Deletes an entry.
///
/// # Errors
/// As [`read`].
pub async fn delete(database: &Database, session: &Session, id: Id) -> Result<(), Error> {
    let statement = session.statement(format!(
        "-- entries::db::delete()
        with deleted as (
            delete from thought_diaries
            where id = $id and user_id = $user_id and {SESSION_IS_ACTIVE}
            returning id
        )
        select
            (select user_id = $user_id from thought_diaries where id = $id) as is_owner,
            (select id::text from deleted) as result
        where {SESSION_IS_ACTIVE}"
    ));
    decode_owned(database.row(statement.bind("id", id.get())).await?).map(drop)
}

/// The numbers of a user's entries.
#[derive(Serialize)]
pub struct Totals {
    total_entries: i64,
    positive_entries: i64,
    negative_entries: i64,
    neutral_entries: i64,
}

/// Returns the user's totals.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn stats(database: &Database, session: &Session) -> Result<Totals, Error> {
    // Without a row of its own for users who have no entries yet.
    let statement = session.statement(format!(
        "-- entries::db::stats()
        select
            coalesce(sum(total_entries), 0)::bigint as total,
            coalesce(sum(positive_entries), 0)::bigint as positive,
            coalesce(sum(negative_entries), 0)::bigint as negative
        from user_stats where user_id = $user_id
        having {SESSION_IS_ACTIVE}"
    ));
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    let (total, positive, negative) = (
        row.get("total")?,
        row.get("positive")?,
        row.get("negative")?,
    );
    Ok(Totals {
        total_entries: total,
        positive_entries: positive,
        negative_entries: negative,
        neutral_entries: total - positive - negative,
    })
}

/// Binds a text and its analysis: the parameters `$content`, `$analyzed_content`,
/// `$positive_count`, `$negative_count`, `$analyzed_by` and `$analysis_status`.
pub fn bind_analysis(
    statement: Statement,
    content: &Content,
    analysis: Option<Analysis>,
) -> Statement {
    let status = analysis_status(analysis.as_ref());
    let (html, positive, negative, analyzer) = match analysis {
        Some(analysis) => (
            Some(analysis.analyzed_content),
            analysis.positive_count,
            analysis.negative_count,
            Some(analysis.analyzed_by.as_str()),
        ),
        None => (None, 0, 0, None),
    };
    statement
        .bind("content", content.as_str())
        .bind("analyzed_content", html)
        .bind("positive_count", positive)
        .bind("negative_count", negative)
        .bind("analyzed_by", analyzer)
        .bind("analysis_status", status)
}

/// Returns the value of the column `analysis_status`, which `migrations/0005` explains.
fn analysis_status(analysis: Option<&Analysis>) -> &'static str {
    let Some(analysis) = analysis else {
        return "pending";
    };
    match analysis.fallback {
        None => "done",
        Some(Fallback::NoModel) => "no_model",
        Some(Fallback::Unavailable | Fallback::Unusable) => "pending",
    }
}

/// Decodes the row of a statement on one entry.
fn decode_owned(row: Option<Row>) -> Result<String, Error> {
    let row = row.ok_or(Error::TokenRevoked)?;
    owned_result(row.get("is_owner")?, row.get("result")?)
}

/// Distinguishes the outcomes of a statement on one entry. `is_owner` is null
/// when there is no such entry, `result` also when it was deleted in the meantime.
fn owned_result(is_owner: Option<bool>, result: Option<String>) -> Result<String, Error> {
    match (is_owner, result) {
        (Some(false), _) => Err(Error::Forbidden),
        (Some(true), Some(result)) => Ok(result),
        _ => Err(Error::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_missing_foreign_and_owned_entries() {
        assert_eq!(owned_result(None, None), Err(Error::NotFound));
        assert_eq!(owned_result(Some(false), None), Err(Error::Forbidden));
        assert_eq!(owned_result(Some(true), None), Err(Error::NotFound));
        assert_eq!(owned_result(Some(true), Some("{}".into())), Ok("{}".into()));
    }
}
