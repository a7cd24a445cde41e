//! The users and entries that `cargo xtask seed` adds and removes.

use macro_rules_attribute::apply;

use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::seed;

const USERS: i64 = 3;
const ENTRIES: i64 = 90 + 24;

async fn count(database: &Database, table: &str) -> i64 {
    let statement = format!("select count(*) from {table}");
    database.value(&statement, &[]).await
}

async fn add(url: &str) -> i64 {
    let added = seed::add(url).await.expect("the sample data is added");
    added.try_into().expect("a small number")
}

async fn clear(url: &str) -> i64 {
    let removed = seed::clear(url).await.expect("the sample data is removed");
    removed.try_into().expect("a small number")
}

#[apply(e2e_test!)]
async fn can_be_added_twice_and_removed_without_touching_other_rows(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    let own_rows = "
        insert into users (email, password_hash) values ('me@example.com', 'x');
        insert into thought_diaries (user_id, content) select id, 'My own entry' from users";
    database.batch(own_rows).await;
    for added in [USERS, 0] {
        assert_eq!(add(&url).await, added);
        assert_eq!(count(&database, "users").await, 1 + USERS);
        assert_eq!(count(&database, "thought_diaries").await, 1 + ENTRIES);
    }
    for removed in [USERS, 0] {
        assert_eq!(clear(&url).await, removed);
        assert_eq!(count(&database, "users").await, 1);
        assert_eq!(count(&database, "thought_diaries").await, 1);
    }
    let total = "select total_entries from user_stats";
    assert_eq!(database.value::<i64>(total, &[]).await, 1);
}

#[apply(e2e_test!)]
async fn has_correct_totals_over_five_months(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    assert_eq!(add(&url).await, USERS);
    // The third user has no entries and so no totals.
    assert_eq!(count(&database, "user_stats").await, 2);
    let differences = "
        (
            select user_id, count(*) as total_entries,
                count(*) filter (where positive_count > negative_count) as positive_entries,
                count(*) filter (where positive_count < negative_count) as negative_entries
            from thought_diaries group by user_id
        ) counted full join user_stats using (user_id, total_entries, positive_entries, negative_entries)
        where counted.user_id is null or user_stats.user_id is null";
    assert_eq!(count(&database, differences).await, 0);
    let months = "select count(distinct date_trunc('month', created_at)) from thought_diaries";
    let months: i64 = database.value(months, &[]).await;
    assert!(months >= 5, "{months} months");
}
