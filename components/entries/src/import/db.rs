//! The SQL of the import.

use thought_diary::{Error, pg::Database, session::Session};

/// Stores entries, a JSON array, except those that the user has already. Returns the number of stored ones.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn import(database: &Database, session: &Session, entries: String) -> Result<i64, Error> {
    let statement = session
        .statement(
            "-- entries::import::db::import()
            select outcome, imported from diary_import(
                session_id => $session_id, owner => $user_id, entries => $entries::text::json
            )",
        )
        .bind("entries", entries);
    let row = database.row(statement).await?;
    let row = row.ok_or_else(|| Error::Internal("diary_import() returned no row".into()))?;
    match row.get::<String>("outcome")?.as_str() {
        "ok" => row.get("imported"),
        _ => Err(Error::TokenRevoked),
    }
}
