//! The SQL of the readiness check.

use thought_diary::{
    Error,
    pg::{Database, Statement},
};

/// The number of the newest file in `migrations/` when this component was built.
const SCHEMA_VERSION: &str = env!("SCHEMA_VERSION");

/// Returns whether the database has every migration that the components need.
///
/// # Errors
/// `service_unavailable` when the database is unreachable; `internal_error` when it was never migrated.
pub async fn is_migrated(database: &Database) -> Result<bool, Error> {
    let statement = Statement::new(
        "-- system::db::is_migrated()
        select coalesce(max(version) >= $version::text::bigint, false) as is_migrated
        from _sqlx_migrations where success",
    )
    .bind("version", SCHEMA_VERSION);
    let row = database.row(statement).await?;
    row.ok_or_else(|| Error::Internal("is_migrated() returned no row".into()))?
        .get("is_migrated")
}
