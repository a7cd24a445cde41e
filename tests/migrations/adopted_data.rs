//! Databases of the replaced service that differ from the usual one.

use macro_rules_attribute::apply;
use testbed::migrate;

use super::steps::up;
use crate::support::client::PASSWORD;
use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;

const REPLACED: &str = include_str!("../data/replaced_service.sql");

/// Creates a database of the replaced service and changes it.
async fn new_replaced_database(env: &TestEnv, change: &str) -> (String, Database) {
    let url = env.new_database().await;
    let database = Database::connect(&url).await;
    database.batch(REPLACED).await;
    database.batch(change).await;
    (url, database)
}

#[apply(e2e_test!)]
async fn lets_users_with_capitals_and_blanks_in_the_email_log_in(env: &TestEnv) {
    let change = "update users set email = ' Old@Example.COM ' where id = 7";
    let (url, _) = new_replaced_database(env, change).await;
    up(&url).await;
    let redis_url = env.new_redis_database();
    let instance = env.start_instance_on(&url, &redis_url, &[]).await;
    let anonymous = instance.anonymous();
    let user = anonymous.log_in("old@example.com", PASSWORD).await;
    assert_eq!(user.session().user_id, 7);
}

#[apply(e2e_test!)]
async fn names_the_accounts_whose_emails_collide(env: &TestEnv) {
    let change = "update users set email = 'OLD@example.com' where id = 8";
    let (url, database) = new_replaced_database(env, change).await;
    let error = migrate::up(&url).await.expect_err("the emails collide");
    let error = format!("{error:#}");
    for name in ["'old@example.com' (id 7)", "'OLD@example.com' (id 8)"] {
        assert!(error.contains(name), "{error}");
    }
    database
        .batch("update users set email = 'another@example.com' where id = 8")
        .await;
    up(&url).await;
}

#[apply(e2e_test!)]
async fn widens_a_narrow_column_of_hashes(env: &TestEnv) {
    let change = "alter table users alter column password_hash type varchar(60)";
    let (url, database) = new_replaced_database(env, change).await;
    up(&url).await;
    let redis_url = env.new_redis_database();
    let instance = env.start_instance_on(&url, &redis_url, &[]).await;
    instance
        .anonymous()
        .log_in("old@example.com", PASSWORD)
        .await;
    let statement = "select length(password_hash) from users where id = 7";
    assert_eq!(database.value::<i32>(statement, &[]).await, 96);
}

#[apply(e2e_test!)]
async fn converts_times_with_a_zone_to_utc(env: &TestEnv) {
    let change = "
        set timezone = 'Europe/Berlin';
        alter table users
            alter column created_at type timestamptz using created_at at time zone 'utc',
            alter column updated_at type timestamptz using updated_at at time zone 'utc';
        alter table thought_diaries
            alter column created_at type timestamptz using created_at at time zone 'utc',
            alter column updated_at type timestamptz using updated_at at time zone 'utc'";
    let (url, database) = new_replaced_database(env, change).await;
    up(&url).await;
    let times = "
        select created_at::text from users where id = 7
        union all select created_at::text from thought_diaries where id = 11";
    let times: Vec<String> = database.column(times).await;
    assert_eq!(times, ["2024-05-06 07:08:09.123456", "2024-06-01 10:00:00"]);
}

/// The replaced service stored plain text as analyzed where its model had failed.
#[apply(e2e_test!)]
async fn analyzes_entries_without_marks_again(env: &TestEnv) {
    let change = "update thought_diaries set analyzed_content = content where id = 14";
    let (url, database) = new_replaced_database(env, change).await;
    up(&url).await;
    let status = "select analysis_status || ' ' || coalesce(analyzed_by, 'nobody')
        from thought_diaries where id in (11, 14) order by id";
    let status: Vec<String> = database.column(status).await;
    assert_eq!(status, ["done model", "pending nobody"]);
}

/// The newest user and entry were deleted, and their ids must not belong to anyone else.
#[apply(e2e_test!)]
async fn does_not_give_out_the_ids_of_deleted_rows(env: &TestEnv) {
    let change = "
        select setval('users_id_seq', 30), setval('thought_diaries_id_seq', 40)";
    let (url, _) = new_replaced_database(env, change).await;
    up(&url).await;
    let redis_url = env.new_redis_database();
    let instance = env.start_instance_on(&url, &redis_url, &[]).await;
    let user = instance.user().await;
    assert_eq!(user.session().user_id, 31);
    let entry = user.create_entry("The first entry of a new user.").await;
    assert_eq!(entry["id"], 41);
}
