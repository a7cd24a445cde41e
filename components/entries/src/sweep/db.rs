//! The SQL of the sweep.

use std::time::Duration;

use thought_diary::{
    Error,
    analysis::{Analysis, Fallback},
    pg::{Database, Statement},
};

use crate::{db::bind_analysis, entry::Content};

/// An entry that this sweep has reserved.
pub struct ClaimedEntry {
    id: i32,
    /// Its text at the time of the claim.
    pub content: Content,
}

/// Reserves the next entries that are due, at most `limit`, for the duration of `lease`.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn claim(
    database: &Database,
    limit: i32,
    lease: Duration,
) -> Result<Vec<ClaimedEntry>, Error> {
    let statement = Statement::new(
        "-- entries::sweep::db::claim()
        with due as (
            select id from thought_diaries
            where analysis_status in ('pending', 'no_model')
                and analysis_retry_at <= now() at time zone 'utc'
            order by analysis_status desc, analysis_retry_at, id
            limit $limit
            for update skip locked
        ), claimed as (
            update thought_diaries entry set
                analysis_retry_at = now() at time zone 'utc' + make_interval(secs => $lease)
            from due where entry.id = due.id
            returning entry.id, entry.content
        )
        select coalesce(json_agg(json_build_array(id, content)), '[]')::text as entries from claimed",
    )
    .bind("limit", i64::from(limit))
    .bind("lease", lease.as_secs_f64());
    let invalid = || Error::Internal("the claimed entries have an unexpected shape".into());
    let row = database.row(statement).await?.ok_or_else(invalid)?;
    let entries: Vec<(i32, String)> =
        serde_json::from_str(&row.get::<String>("entries")?).map_err(|_| invalid())?;
    Ok(entries
        .into_iter()
        .map(|(id, text)| ClaimedEntry {
            id,
            content: Content::from_database(text),
        })
        .collect())
}

/// Stores an analysis and returns whether the entry still had the same text and no marks of the model.
///
/// An entry on which the model failed is due again after as long as it has
/// existed, at least a minute and at most a day.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn store(
    database: &Database,
    entry: &ClaimedEntry,
    analysis: Analysis,
) -> Result<bool, Error> {
    let is_unusable = analysis.fallback == Some(Fallback::Unusable);
    let statement = Statement::new(
        "-- entries::sweep::db::store()
        update thought_diaries set
            analyzed_content = $analyzed_content,
            positive_count = $positive_count,
            negative_count = $negative_count,
            analyzed_by = $analyzed_by,
            analysis_status = $analysis_status,
            analysis_retry_at = now() at time zone 'utc' + case when $is_unusable then
                least(greatest(now() at time zone 'utc' - updated_at, '1 minute'), '1 day')
            else '0' end
        where content = $content and id = $id and analyzed_by is distinct from 'model'
        returning id",
    )
    .bind("id", entry.id)
    .bind("is_unusable", is_unusable);
    let statement = bind_analysis(statement, &entry.content, Some(analysis));
    Ok(database.row(statement).await?.is_some())
}

/// Counts the pending entries, up to 10,000.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn count_pending(database: &Database) -> Result<i64, Error> {
    let statement = Statement::new(
        "-- entries::sweep::db::count_pending()
        select diaries_pending() as pending",
    );
    let row = database.row(statement).await?;
    row.ok_or_else(|| Error::Internal("count_pending() returned no row".into()))?
        .get("pending")
}
