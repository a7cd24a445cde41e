//! The SQL of the users' requests: one statement each, but for a new analysis, which reads before it writes.
//!
//! Postgres builds the JSON of the answer: one row and one column cross to the
//! component instead of nine columns a diary. The totals in `user_stats` are
//! kept by triggers.

use serde::Serialize;
use spin_sdk::pg::{DbValue, ParameterValue};
use thought_diary::{
    Error,
    pg::{Database, column},
    session::{LIVE, Session},
};

use crate::{
    entry::{Content, Id},
    page::Page,
    sentiment::{Analysis, Fallback},
};

/// JSON text from Postgres, ready to be sent.
pub type Json = String;

/// Reads a page of the user's diaries, newest first, as it is sent. The statement
/// is a function in the database, where its plan is kept.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn list(database: &Database, session: &Session, page: &Page) -> Result<Json, Error> {
    let statement = "-- entries::db::list()
        select diary_page($1, $2, $3, $4)";
    let parameters = session.parameters([page.number.into(), page.per_page.into()]);
    let row = database.row(statement, parameters).await?;
    column::<Option<Json>>(&row.unwrap_or_default(), 0)?.ok_or(Error::TokenRevoked)
}

/// Stores a new entry, and gives it.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn create(
    database: &Database,
    session: &Session,
    content: &Content,
    analysis: Option<Analysis>,
) -> Result<Json, Error> {
    let statement = "-- entries::db::create()
        select diary_create($1, $2, $3, $4, $5, $6, $7, $8)";
    let parameters = session.parameters(written(content, analysis));
    let row = database.row(statement, parameters).await?;
    column::<Option<Json>>(&row.unwrap_or_default(), 0)?.ok_or(Error::TokenRevoked)
}

/// Reads an entry.
///
/// # Errors
/// `token_revoked`, `forbidden` for another's entry, `not_found`.
pub async fn read(database: &Database, session: &Session, id: Id) -> Result<Json, Error> {
    let statement = format!(
        "-- entries::db::read()
        select (select user_id = $2 from thought_diaries where id = $3), (
            select row_to_json(diary(entry))::text from thought_diaries entry
            where id = $3 and user_id = $2
        )
        from sessions where {LIVE}"
    );
    let parameters = session.parameters([id.get().into()]);
    own(database.row(&statement, parameters).await?)
}

/// Replaces the text of an entry.
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
    let statement = format!(
        "-- entries::db::update()
        with written as (
            update thought_diaries entry set
                content = $3, analyzed_content = $4, positive_count = $5, negative_count = $6,
                analyzed_by = $7, analysis_due_at = analysis_due_at($8),
                updated_at = now() at time zone 'utc'
            where id = $9 and user_id = $2 and exists (select from sessions where {LIVE})
            returning row_to_json(diary(entry))::text as diary
        )
        select (select user_id = $2 from thought_diaries where id = $9), (select diary from written)
        from sessions where {LIVE}"
    );
    let own_parameters = written(content, analysis)
        .into_iter()
        .chain([id.get().into()]);
    own(database
        .row(&statement, session.parameters(own_parameters))
        .await?)
}

/// Reads the text of an entry.
///
/// # Errors
/// As [`read`].
pub async fn content(database: &Database, session: &Session, id: Id) -> Result<Content, Error> {
    let statement = format!(
        "-- entries::db::content()
        select (select user_id = $2 from thought_diaries where id = $3),
            (select content from thought_diaries where id = $3 and user_id = $2)
        from sessions where {LIVE}"
    );
    let parameters = session.parameters([id.get().into()]);
    own(database.row(&statement, parameters).await?).map(Content::stored)
}

/// Gives an entry a new analysis of `content`, and gives the entry as it then is.
///
/// It stays as it is where its text is another by now, or where the model had
/// marked it and this time failed to.
///
/// # Errors
/// As [`read`].
pub async fn analyze(
    database: &Database,
    session: &Session,
    id: Id,
    content: &Content,
    analysis: Analysis,
) -> Result<Json, Error> {
    let statement = format!(
        "-- entries::db::analyze()
        with written as (
            update thought_diaries entry set
                analyzed_content = $4, positive_count = $5, negative_count = $6,
                analyzed_by = $7, analysis_due_at = analysis_due_at($8)
            where id = $9 and user_id = $2 and content = $3
                and (analyzed_by is distinct from 'model' or $7 = 'model')
                and exists (select from sessions where {LIVE})
            returning row_to_json(diary(entry))::text as diary
        )
        select (select user_id = $2 from thought_diaries where id = $9), coalesce(
            (select diary from written),
            (select row_to_json(diary(entry))::text from thought_diaries entry
                where id = $9 and user_id = $2)
        )
        from sessions where {LIVE}"
    );
    let own_parameters = written(content, Some(analysis))
        .into_iter()
        .chain([id.get().into()]);
    own(database
        .row(&statement, session.parameters(own_parameters))
        .await?)
}

/// Removes an entry.
///
/// # Errors
/// As [`read`].
pub async fn delete(database: &Database, session: &Session, id: Id) -> Result<(), Error> {
    let statement = format!(
        "-- entries::db::delete()
        with deleted as (
            delete from thought_diaries
            where id = $3 and user_id = $2 and exists (select from sessions where {LIVE})
            returning id
        )
        select (select user_id = $2 from thought_diaries where id = $3), (select id::text from deleted)
        from sessions where {LIVE}"
    );
    let parameters = session.parameters([id.get().into()]);
    own(database.row(&statement, parameters).await?).map(drop)
}

/// A user's totals.
#[derive(Serialize)]
pub struct Totals {
    total_entries: i64,
    positive_entries: i64,
    negative_entries: i64,
    neutral_entries: i64,
}

/// Reads the user's totals.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn stats(database: &Database, session: &Session) -> Result<Totals, Error> {
    let statement = format!(
        "-- entries::db::stats()
        select total_entries, positive_entries, negative_entries
        from sessions left join user_stats using (user_id) where {LIVE}"
    );
    let row = database.row(&statement, session.parameters([])).await?;
    let row = row.ok_or(Error::TokenRevoked)?;
    // Null until the first entry is written.
    let count = |index| Ok::<_, Error>(column::<Option<i64>>(&row, index)?.unwrap_or(0));
    let (total_entries, positive_entries, negative_entries) = (count(0)?, count(1)?, count(2)?);
    Ok(Totals {
        total_entries,
        positive_entries,
        negative_entries,
        neutral_entries: total_entries - positive_entries - negative_entries,
    })
}

/// Six parameters of the statements that write: the text, what was made of it, and why not the model made it.
pub fn written(content: &Content, analysis: Option<Analysis>) -> [ParameterValue; 6] {
    let text = |text: &str| ParameterValue::Str(text.to_owned());
    let content = text(content.as_str());
    match analysis {
        Some(analysis) => [
            content,
            analysis.analyzed_content.into(),
            analysis.positive_count.into(),
            analysis.negative_count.into(),
            text(analysis.analyzed_by.name()),
            analysis
                .fallback
                .map_or(ParameterValue::DbNull, |fallback| text(fallback.name())),
        ],
        None => [
            content,
            ParameterValue::DbNull,
            0.into(),
            0.into(),
            ParameterValue::DbNull,
            text(Fallback::Unavailable.name()),
        ],
    }
}

/// Decodes the answer of the statements on one entry: no row when the login
/// has ended, else whether the entry is the user's own (null when there is
/// none) and what was asked for (null when it went away meanwhile).
fn own(row: Option<Vec<DbValue>>) -> Result<String, Error> {
    let row = row.ok_or(Error::TokenRevoked)?;
    match (column::<Option<bool>>(&row, 0)?, column(&row, 1)?) {
        (Some(false), _) => Err(Error::Forbidden),
        (Some(true), Some(answer)) => Ok(answer),
        _ => Err(Error::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_tells_all_outcomes_apart() {
        let row = |owner: DbValue, answer: DbValue| own(Some(vec![owner, answer]));
        assert_eq!(own(None), Err(Error::TokenRevoked));
        assert_eq!(row(DbValue::DbNull, DbValue::DbNull), Err(Error::NotFound));
        assert_eq!(
            row(DbValue::Boolean(false), DbValue::DbNull),
            Err(Error::Forbidden)
        );
        assert_eq!(
            row(DbValue::Boolean(true), DbValue::DbNull),
            Err(Error::NotFound)
        );
        assert_eq!(
            row(DbValue::Boolean(true), DbValue::Str("{}".into())),
            Ok("{}".into())
        );
    }
}
