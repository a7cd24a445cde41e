//! The SQL of `thought_diaries` and `user_stats`: one statement per request.
//!
//! Postgres builds the JSON of the answer: one row and one column cross to the
//! component instead of nine columns a diary.

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
    sentiment::Analysis,
};

/// JSON text from Postgres, ready to be sent.
pub type Json = String;

/// The columns of a diary as the contract shows it; `diary_page` in `migrations/` has them too. An entry that nobody
/// analysed shows its own text, escaped; what the column holds is not trusted.
const DIARY: &str = r#"id, content,
    case when analyzed_by is null then escape_html(content) else analyzed_content end
        as analyzed_content,
    positive_count, negative_count,
    case when positive_count > negative_count then 'positive'
        when positive_count < negative_count then 'negative'
        else 'neutral' end as sentiment,
    analyzed_by,
    to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
    to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at"#;

/// A page of a user's diaries, newest first.
pub struct Listed {
    /// All of the user's entries.
    pub total: i64,
    /// A JSON array.
    pub items: Json,
}

/// Reads a page. The statement is a function in the database, where its plan is kept.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn list(database: &Database, session: &Session, page: &Page) -> Result<Listed, Error> {
    let statement = "-- entries::db::list()
        select total, items from diary_page($1, $2, $3, $4)";
    let parameters = session.parameters([page.per_page.into(), page.offset().into()]);
    let row = database.row(statement, parameters).await?;
    let row = row.ok_or(Error::TokenRevoked)?;
    Ok(Listed {
        total: column(&row, 0)?,
        items: column(&row, 1)?,
    })
}

/// Stores a new entry and counts it; gives its id and its JSON.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn create(
    database: &Database,
    session: &Session,
    content: &Content,
    analysis: Option<Analysis>,
) -> Result<(i32, Json), Error> {
    let statement = format!(
        "-- entries::db::create()
        with diary as (
            insert into thought_diaries
                (user_id, content, analyzed_content, positive_count, negative_count, analyzed_by)
            select $2, $3, $4, $5, $6, $7 from sessions where {LIVE}
            returning *
        ), counted as (
            insert into user_stats as stats
                (user_id, total_entries, positive_entries, negative_entries)
            select
                user_id, 1,
                (positive_count > negative_count)::int, (positive_count < negative_count)::int
            from diary
            on conflict (user_id) do update set
                total_entries = stats.total_entries + 1,
                positive_entries = stats.positive_entries + excluded.positive_entries,
                negative_entries = stats.negative_entries + excluded.negative_entries
        )
        select id, row_to_json(diary)::text from (select {DIARY} from diary) diary"
    );
    let parameters = session.parameters(written(content, analysis));
    let row = database.row(&statement, parameters).await?;
    let row = row.ok_or(Error::TokenRevoked)?;
    Ok((column(&row, 0)?, column(&row, 1)?))
}

/// Reads an entry.
///
/// # Errors
/// `token_revoked`, `forbidden` for another's entry, `not_found`.
pub async fn read(database: &Database, session: &Session, id: Id) -> Result<Json, Error> {
    let statement = format!(
        "-- entries::db::read()
        select (select user_id = $2 from thought_diaries where id = $3), (
            select row_to_json(diary)::text
            from (select {DIARY} from thought_diaries where id = $3 and user_id = $2) diary
        )
        from sessions where {LIVE}"
    );
    let parameters = session.parameters([id.get().into()]);
    own(database.row(&statement, parameters).await?)
}

/// Replaces the text of an entry, and moves it from one total to another where its mood changed.
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
    // The old mood is read under a lock: of two changes at once, the second starts from what the first left.
    let statement = format!(
        "-- entries::db::update()
        with old as (
            select id, positive_count, negative_count from thought_diaries
            where id = $8 and user_id = $2 and exists (select from sessions where {LIVE})
            for update
        ), diary as (
            update thought_diaries set
                content = $3, analyzed_content = $4,
                positive_count = $5, negative_count = $6, analyzed_by = $7,
                updated_at = now() at time zone 'utc'
            from old where thought_diaries.id = old.id
            returning thought_diaries.*
        ), counted as (
            update user_stats stats set
                positive_entries = stats.positive_entries
                    + (diary.positive_count > diary.negative_count)::int
                    - (old.positive_count > old.negative_count)::int,
                negative_entries = stats.negative_entries
                    + (diary.positive_count < diary.negative_count)::int
                    - (old.positive_count < old.negative_count)::int
            from diary join old using (id)
            where stats.user_id = $2
                and sign(diary.positive_count - diary.negative_count)
                    <> sign(old.positive_count - old.negative_count)
        )
        select (select user_id = $2 from thought_diaries where id = $8), (
            select row_to_json(diary)::text from (select {DIARY} from diary) diary
        )
        from sessions where {LIVE}"
    );
    let own_parameters = written(content, analysis)
        .into_iter()
        .chain([id.get().into()]);
    own(database
        .row(&statement, session.parameters(own_parameters))
        .await?)
}

/// Removes an entry and takes it out of the totals.
///
/// # Errors
/// As [`read`].
pub async fn delete(database: &Database, session: &Session, id: Id) -> Result<(), Error> {
    let statement = format!(
        "-- entries::db::delete()
        with diary as (
            delete from thought_diaries
            where id = $3 and user_id = $2 and exists (select from sessions where {LIVE})
            returning *
        ), counted as (
            update user_stats stats set
                total_entries = stats.total_entries - 1,
                positive_entries = stats.positive_entries
                    - (diary.positive_count > diary.negative_count)::int,
                negative_entries = stats.negative_entries
                    - (diary.positive_count < diary.negative_count)::int
            from diary where stats.user_id = $2
        )
        select (select user_id = $2 from thought_diaries where id = $3), (select id::text from diary)
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

/// `$3` to `$7` of the statements that write.
fn written(content: &Content, analysis: Option<Analysis>) -> [ParameterValue; 5] {
    let content = ParameterValue::Str(content.as_str().to_owned());
    match analysis {
        Some(analysis) => [
            content,
            analysis.analyzed_content.into(),
            analysis.positive_count.into(),
            analysis.negative_count.into(),
            analysis.analyzed_by.name().to_owned().into(),
        ],
        None => [
            content,
            ParameterValue::DbNull,
            0.into(),
            0.into(),
            ParameterValue::DbNull,
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
