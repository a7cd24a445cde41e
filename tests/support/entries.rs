//! Entries that a test inserts into the database, past the service.

use super::client::Client;
use super::env::TestEnv;

/// Inserts entries that were created at the same moment into the database of the shared instance. Returns their ids in order.
pub async fn insert_entries(env: &TestEnv, user: &Client, count: i32) -> Vec<i64> {
    let statement = "
        insert into thought_diaries (user_id, content, created_at, updated_at)
        select $1, 'Entry number ' || number, '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678'
        from generate_series(1, $2) number
        returning id";
    let database = env.shared.database().await;
    let id = user.session().user_id;
    let rows = database.rows(statement, &[&id, &count]).await;
    rows.iter().map(|row| row.get::<_, i32>(0).into()).collect()
}
