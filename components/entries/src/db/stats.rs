//! The SQL of the statistics.

use chrono::NaiveDate;
use thought_diary::{
    Error,
    pg::Database,
    session::{SESSION_IS_ACTIVE, Session},
};

use crate::{
    totals::Totals,
    trend::{INVALID_TIME_ZONE, Trend, TrendQuery},
};

/// Returns the user's totals.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn stats(database: &Database, session: &Session) -> Result<Totals, Error> {
    // Aggregates return a row also for users who have no entries yet.
    let statement = session.statement(format!(
        "-- entries::db::stats::stats()
        select
            coalesce(sum(total_entries), 0)::bigint as total,
            coalesce(sum(positive_entries), 0)::bigint as positive,
            coalesce(sum(negative_entries), 0)::bigint as negative
        from user_stats where user_id = $user_id
        having {SESSION_IS_ACTIVE}"
    ));
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    let count = |column| row.get::<i64>(column);
    Ok(Totals::new(
        count("total")?,
        count("positive")?,
        count("negative")?,
    ))
}

/// Counts the user's entries per period of time.
///
/// # Errors
/// `token_revoked`; `validation_error` for an unknown time zone.
pub async fn trend(
    database: &Database,
    session: &Session,
    query: &TrendQuery,
) -> Result<Trend, Error> {
    let statement = session
        .statement(format!(
            "-- entries::db::stats::trend()
            select first_start, last_date, starts, totals, positives, negatives
            from diary_trend($user_id, $interval, $from, $to, $time_zone)
            where {SESSION_IS_ACTIVE}"
        ))
        .bind("interval", query.interval.as_str())
        .bind("from", query.from)
        .bind("to", query.to)
        .bind("time_zone", query.time_zone.as_str());
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    let first_start: Option<i32> = row.get("first_start")?;
    let first_start = first_start.ok_or_else(|| Error::invalid("tz", INVALID_TIME_ZONE))?;
    let numbers = |column| {
        let numbers: Option<Vec<Option<i32>>> = row.get(column)?;
        Ok::<_, Error>(numbers.into_iter().flatten().flatten())
    };
    let counts = numbers("totals")?
        .zip(numbers("positives")?)
        .zip(numbers("negatives")?)
        .map(|((total, positive), negative)| Totals::new(total, positive, negative));
    let counted = numbers("starts")?.zip(counts);
    Trend::new(
        query,
        date(first_start)?,
        date(row.get("last_date")?)?,
        counted.map(|(start, totals)| Ok((date(start)?, totals))),
    )
}

/// Converts a number of days since 1970.
fn date(days: i32) -> Result<NaiveDate, Error> {
    NaiveDate::from_epoch_days(days)
        .ok_or_else(|| Error::Internal("diary_trend() returned an invalid date".into()))
}
