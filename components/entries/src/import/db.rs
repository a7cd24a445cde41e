//! The SQL of the import.

use thought_diary::{Error, pg::Database, session::Session};

use crate::db::{COUNTED, WriteLimit};

/// Stores entries, a JSON array, except those that the user has already. Returns the number of stored ones.
///
/// # Errors
/// `rate_limit_exceeded`; `token_revoked` when the session is not active.
pub async fn import(
    database: &Database,
    session: &Session,
    limit: WriteLimit<'_>,
    entries: String,
) -> Result<i64, Error> {
    let statement = session
        .statement(format!(
            "-- entries::import::db::import()
            select writes, seconds_left, outcome, imported from {COUNTED}, diary_import(
                session_id => counted.session_id, owner => $user_id, entries => $entries::text::json
            )"
        ))
        .bind("entries", entries);
    let row = database.row(limit.bind(statement)).await?;
    let row = row.ok_or_else(|| Error::Internal("diary_import() returned no row".into()))?;
    limit.check(&row)?;
    match row.get::<String>("outcome")?.as_str() {
        "ok" => row.get("imported"),
        _ => Err(Error::TokenRevoked),
    }
}
