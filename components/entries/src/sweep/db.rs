//! The SQL of the sweep.

use std::time::Duration;

use thought_diary::{
    Error,
    pg::{Database, column},
};

use crate::{db::written, entry::Content, sentiment::Analysis};

/// An entry that waits for the model.
pub struct Waiting {
    id: i32,
    /// Its text when it was taken.
    pub content: Content,
}

/// Takes the oldest entries that are due, at most `limit`, for as long as `lease`: nobody else takes them meanwhile.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn claim(
    database: &Database,
    limit: i32,
    lease: Duration,
) -> Result<Vec<Waiting>, Error> {
    let statement = "-- entries::sweep::db::claim()
        with due as (
            select id from thought_diaries
            where analysis_due_at <= now() at time zone 'utc' or analysis_due_at = 'infinity'
            order by analysis_due_at, id
            limit $1
            for update skip locked
        ), claimed as (
            update thought_diaries entry set
                analysis_due_at = now() at time zone 'utc' + make_interval(secs => $2)
            from due where entry.id = due.id
            returning entry.id, entry.content
        )
        select coalesce(json_agg(json_build_array(id, content)), '[]')::text from claimed";
    let parameters = vec![i64::from(limit).into(), lease.as_secs_f64().into()];
    let row = database
        .row(statement, parameters)
        .await?
        .unwrap_or_default();
    let claimed: Vec<(i32, String)> = serde_json::from_str(&column::<String>(&row, 0)?)
        .map_err(|_| Error::Internal("the entries to sweep have an unexpected shape".into()))?;
    let waiting = claimed.into_iter().map(|(id, content)| Waiting {
        id,
        content: Content::stored(content),
    });
    Ok(waiting.collect())
}

/// Stores an analysis, unless the entry was changed meanwhile; gives whether it did.
///
/// An entry that the model could do nothing with is due again after as long as
/// it has been there already, a day at most.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn store(
    database: &Database,
    entry: &Waiting,
    analysis: Analysis,
) -> Result<bool, Error> {
    let statement = "-- entries::sweep::db::store()
        update thought_diaries entry set
            analyzed_content = $2, positive_count = $3, negative_count = $4, analyzed_by = $5,
            analysis_due_at = case $6::text
                when 'unusable' then now() at time zone 'utc' + least(
                    greatest(now() at time zone 'utc' - updated_at, '1 minute'), '1 day'
                )
                else analysis_due_at($6)
            end
        where content = $1 and id = $7 and analyzed_by is distinct from 'model'
        returning id";
    let parameters = written(&entry.content, Some(analysis))
        .into_iter()
        .chain([entry.id.into()])
        .collect();
    Ok(database.row(statement, parameters).await?.is_some())
}

/// How many entries wait after the model failed on them, counted up to 10,000.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn waiting(database: &Database) -> Result<i64, Error> {
    let statement = "-- entries::sweep::db::waiting()
        select diaries_waiting()";
    let row = database.row(statement, Vec::new()).await?;
    column(&row.unwrap_or_default(), 0)
}
