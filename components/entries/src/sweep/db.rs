//! The SQL of the sweep.

use std::time::Duration;

use thought_diary::{
    Error,
    pg::{Database, Statement},
};

use crate::entry::Content;

/// An entry that this sweep has reserved.
pub struct ClaimedEntry {
    /// Its id.
    pub id: i32,
    /// Its user's id.
    pub user_id: i32,
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
            returning entry.id, entry.user_id, entry.content
        )
        select coalesce(json_agg(json_build_array(id, user_id, content)), '[]')::text as entries from claimed",
    )
    .bind("limit", i64::from(limit))
    .bind("lease", lease.as_secs_f64());
    let invalid = || Error::Internal("the claimed entries have an unexpected shape".into());
    let row = database.row(statement).await?.ok_or_else(invalid)?;
    let entries: Vec<(i32, i32, String)> =
        serde_json::from_str(&row.get::<String>("entries")?).map_err(|_| invalid())?;
    Ok(entries
        .into_iter()
        .map(|(id, user_id, text)| ClaimedEntry {
            id,
            user_id,
            content: Content::from_database(text),
        })
        .collect())
}

/// Postpones the due entries of a user for whom the model must not be called, at most
/// 1,000 to bound the time, so that they do not keep the sweep from the entries of others.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn postpone(database: &Database, user_id: i32, seconds: u64) -> Result<(), Error> {
    let statement = Statement::new(
        "-- entries::sweep::db::postpone()
        with due as (
            select id from thought_diaries
            where user_id = $user_id and analysis_status in ('pending', 'no_model')
                and analysis_retry_at <= now() at time zone 'utc'
            order by analysis_status desc, analysis_retry_at, id
            limit 1000
            for update skip locked
        )
        update thought_diaries entry set
            analysis_retry_at = now() at time zone 'utc' + make_interval(secs => $seconds)
        from due where entry.id = due.id",
    )
    .bind("user_id", user_id)
    .bind("seconds", seconds as f64);
    database.row(statement).await.map(drop)
}

/// Deletes expired sessions, idempotency keys and rows of the audit log, a bounded number of each.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn delete_expired(database: &Database) -> Result<(), Error> {
    let statement = Statement::new(
        "-- entries::sweep::db::delete_expired()
        with expired_sessions as (
            delete from sessions where id in (
                select id from sessions where expires_at <= now() limit 10000
            )
        ), expired_keys as (
            delete from idempotency_keys where (user_id, key) in (
                select user_id, key from idempotency_keys
                where created_at < now() at time zone 'utc' - interval '24 hours'
                limit 10000
            )
        )
        select delete_expired_audit_log()",
    );
    database.row(statement).await.map(drop)
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
