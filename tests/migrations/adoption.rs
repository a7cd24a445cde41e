//! The database of the service that this one replaces, migrated in place.

use macro_rules_attribute::apply;
use serde_json::json;

use super::steps::{down, schema, step_count, up};
use crate::support::client::{Client, PASSWORD, entry_id, totals};
use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;

/// The tables as SQLAlchemy created them, with the rows of two users. The password of the first is [`PASSWORD`].
const REPLACED: &str = include_str!("../data/replaced_service.sql");

/// The constraint of a new database as [`schema`] describes it.
const UNIQUE_EMAIL: &str = "constraint users UNIQUE (email)";

const OLD_EMAIL: &str = "old@example.com";

async fn new_replaced_database(env: &TestEnv) -> String {
    let url = env.new_database().await;
    Database::connect(&url).await.batch(REPLACED).await;
    url
}

/// Starts an instance over a migrated database of the replaced service and logs its first user in.
async fn adopt(env: &TestEnv) -> (Instance, Client) {
    let url = new_replaced_database(env).await;
    tokio::join!(up(&url), up(&url));
    let redis_url = env.new_redis_database();
    let instance = env.start_instance_on(&url, &redis_url, &[]).await;
    let user = instance.anonymous().log_in(OLD_EMAIL, PASSWORD).await;
    (instance, user)
}

#[apply(e2e_test!)]
async fn keeps_accounts_and_replaces_bcrypt_at_login(env: &TestEnv) {
    let (instance, user) = adopt(env).await;
    assert_eq!(user.session().user_id, 7);
    let me = user.get("/auth/me").await.expect_status(200).json();
    assert_eq!(me["created_at"], "2024-05-06T07:08:09.123Z");
    let anonymous = instance.anonymous();
    for (email, password) in [(OLD_EMAIL, "Passw0rd?"), ("other@example.com", "nonsense")] {
        let response = anonymous.try_log_in(email, password).await;
        response.expect_error(401, "invalid_credentials");
    }
    let database = instance.database().await;
    let statement = "select split_part(password_hash, '$', 2) from users where id = 7";
    let algorithm: String = database.value(statement, &[]).await;
    assert_eq!(algorithm, "argon2id");
    anonymous.log_in(OLD_EMAIL, PASSWORD).await;
}

/// Safe markup is taken for the model's. Everything else is analyzed again later.
#[apply(e2e_test!)]
async fn keeps_entries_and_only_safe_markup(env: &TestEnv) {
    let (_instance, user) = adopt(env).await;
    let entries = user.all_entries().await;
    let summaries = entries.iter().map(|entry| {
        let analyzed_by = entry["analyzed_by"].as_str();
        let sentiment = entry["sentiment"].as_str().expect("a string");
        (entry_id(entry), analyzed_by, sentiment)
    });
    let expected = [
        (18, None, "neutral"),
        (17, None, "neutral"),
        (16, None, "neutral"),
        (15, Some("model"), "negative"),
        (14, None, "neutral"),
        (13, None, "neutral"),
        (12, None, "neutral"),
        (11, Some("model"), "positive"),
    ];
    assert_eq!(summaries.collect::<Vec<_>>(), expected);
    let markup = "A <span class=\"positive\">lovely</span> day, &amp; so on.";
    assert_eq!(entries[7]["analyzed_content"], markup);
    assert_eq!(entries[0]["content"], "An attribute too many.");
    assert_eq!(user.stats().await, totals(8, 1, 1, 6));
    let other = user.get("/diaries/19").await;
    other.expect_error(403, "forbidden");
    let entry = json!({"id": 13});
    let updated = user.update_entry(&entry, "Analyzed again, a lovely thing.");
    updated.await.expect_status(200);
    assert_eq!(user.stats().await, totals(8, 2, 1, 5));
}

/// The sequences of the replaced database are behind its rows, whose ids were inserted explicitly.
#[apply(e2e_test!)]
async fn continues_ids_after_the_existing_ones(env: &TestEnv) {
    let (instance, _) = adopt(env).await;
    let user = instance.user().await;
    assert_eq!(user.session().user_id, 9);
    let entry = user.create_entry("The first entry of a new user.").await;
    assert_eq!(entry["id"], 20);
}

#[apply(e2e_test!)]
async fn enforces_the_constraints_of_a_new_database(env: &TestEnv) {
    let (instance, user) = adopt(env).await;
    let response = user.anonymous().register("OLD@example.com", PASSWORD).await;
    response.expect_error(400, "user_exists");
    let database = instance.database().await;
    let duplicate = "insert into users (email, password_hash) values ('old@example.com', 'x')";
    let unique_violation = "23505";
    assert_eq!(database.sqlstate(duplicate).await, unique_violation);
    let delete = "delete from users where id = 7";
    assert_eq!(database.execute(delete, &[]).await, 1);
    let left: Vec<i32> = database.column("select id from thought_diaries").await;
    assert_eq!(left, [19]);
}

/// The replaced service had the unique email as an index or, in other versions, as a constraint, which is kept either way.
#[apply(e2e_test!)]
async fn results_in_the_schema_of_a_new_database(env: &TestEnv) {
    let new = env.new_migrated_database().await;
    let mut expected = schema(&new).await;
    let with_constraint = new_replaced_database(env).await;
    let database = Database::connect(&with_constraint).await;
    let replace_index = "
        drop index ix_users_email;
        alter table users add constraint users_email_key unique (email)";
    database.batch(replace_index).await;
    up(&with_constraint).await;
    assert_eq!(schema(&with_constraint).await, expected);

    let with_index = new_replaced_database(env).await;
    up(&with_index).await;
    let index = "CREATE UNIQUE INDEX ix_users_email ON public.users USING btree (email)";
    expected.retain(|line| !line.contains("users_email_key") && line != UNIQUE_EMAIL);
    expected.push(index.to_owned());
    expected.sort();
    let mut found = schema(&with_index).await;
    found.sort();
    assert_eq!(found, expected);
}

#[apply(e2e_test!)]
async fn keeps_every_row_when_undone_and_redone(env: &TestEnv) {
    let url = new_replaced_database(env).await;
    let database = Database::connect(&url).await;
    let rows = "
        select 'user ' || id || ' ' || email from users
        union all select 'entry ' || id || ' ' || content from thought_diaries order by 1";
    let before: Vec<String> = database.column(rows).await;
    assert_eq!(before.len(), 11);
    up(&url).await;
    for _ in 0..step_count(&url).await {
        down(&url, 1).await;
    }
    let undone: Vec<String> = database.column(rows).await;
    assert_eq!(undone, before);
    up(&url).await;
    let redone: Vec<String> = database.column(rows).await;
    assert_eq!(redone, before);
}

/// The replaced service could still read the tables.
#[apply(e2e_test!)]
async fn keeps_the_columns_of_the_replaced_service(env: &TestEnv) {
    let database = env.shared.database().await;
    let statement = "
        select column_name || ' ' || udt_name || coalesce(' ' || character_maximum_length, '')
        from information_schema.columns where table_name = $1 order by ordinal_position";
    for (table, expected) in [
        (
            "users",
            &[
                "id int4",
                "email varchar 255",
                "password_hash varchar 255",
                "created_at timestamp",
                "updated_at timestamp",
            ][..],
        ),
        (
            "thought_diaries",
            &[
                "id int4",
                "user_id int4",
                "content text",
                "analyzed_content text",
                "positive_count int4",
                "negative_count int4",
                "created_at timestamp",
                "updated_at timestamp",
            ],
        ),
    ] {
        let rows = database.rows(statement, &[&table]).await;
        let columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(columns[..expected.len()], *expected, "{table}");
    }
}
