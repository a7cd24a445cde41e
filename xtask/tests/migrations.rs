//! The migrations and the sample data on a real Postgres: that of `TEST_DATABASE_URL`, which `cargo xtask test` starts.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};
use xtask::migrate::{self, State};
use xtask::{postgres, seed};

/// An empty database of the test's own.
async fn database(name: &str) -> String {
    let url = std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is set by `cargo xtask test`; run this test with it");
    let (server, _) = url.rsplit_once('/').expect("a database in the URL");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let name = format!("migrations_{name}");
    let statement = format!("drop database if exists \"{name}\" with (force)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    postgres::create_database(&url, &name).await.unwrap();
    format!("{server}/{name}")
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn number(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// All tables, columns, constraints, indexes and functions, as text.
async fn shape(url: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default)
            from information_schema.columns where table_schema = 'public' and table_name <> '_sqlx_migrations'
        union all select concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
            from pg_constraint where connamespace = 'public'::regnamespace and conrelid::regclass::text <> '_sqlx_migrations'
        union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
        union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
        union all select indexdef from pg_indexes where schemaname = 'public' and tablename <> '_sqlx_migrations'
        order by 1",
    )
    .fetch_all(&mut connect(url).await)
    .await
    .unwrap()
}

/// The tables as the replaced service made them, with rows.
const REPLACED: &str = "
    create table users (
        id serial primary key, email varchar(255) unique not null, password_hash varchar(255) not null,
        created_at timestamp not null, updated_at timestamp not null
    );
    create table thought_diaries (
        id serial primary key, user_id integer not null references users (id),
        content text not null, analyzed_content text, positive_count integer, negative_count integer,
        created_at timestamp, updated_at timestamp
    );
    insert into users (id, email, password_hash, created_at, updated_at) values
        (7, 'old@example.com', '$2b$12$abc', '2024-01-02 03:04:05', '2024-01-02 03:04:05');
    insert into thought_diaries (user_id, content, analyzed_content, positive_count, negative_count, created_at, updated_at) values
        (7, 'A good day & a walk', 'A <span class=\"positive\">good</span> day &amp; a walk', 1, 0, '2024-02-01', '2024-02-01'),
        (7, 'A bad <b>day</b>', 'A <span class=\"negative\">bad</span> <b>day</b>', 0, 1, '2024-02-02', '2024-02-02'),
        (7, 'Never analysed at all', null, null, null, null, null);
";

#[tokio::test]
async fn up_down_up_on_an_empty_database() {
    let url = database("empty").await;
    assert!(
        migrate::status(&url)
            .await
            .unwrap()
            .iter()
            .all(|step| step.state == State::Pending)
    );
    assert!(migrate::ensure_current(&url).await.is_err());
    migrate::up(&url).await.unwrap();
    let first = shape(&url).await;
    let steps = migrate::status(&url).await.unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step.state == State::Applied));
    migrate::ensure_current(&url).await.unwrap();

    migrate::down(&url, None).await.unwrap();
    let pending = |steps: &[migrate::Step]| {
        steps
            .iter()
            .filter(|step| step.state == State::Pending)
            .count()
    };
    assert_eq!(pending(&migrate::status(&url).await.unwrap()), 1);
    migrate::down(&url, Some(steps.len())).await.unwrap();
    assert_eq!(pending(&migrate::status(&url).await.unwrap()), steps.len());

    migrate::up(&url).await.unwrap();
    assert_eq!(shape(&url).await, first);
    // A second time there is nothing to do.
    migrate::up(&url).await.unwrap();
    assert_eq!(shape(&url).await, first);
}

#[tokio::test]
async fn every_step_down_leads_back_to_the_step_before() {
    let url = database("steps").await;
    migrate::up(&url).await.unwrap();
    let count = migrate::status(&url).await.unwrap().len();
    let whole = shape(&url).await;
    for steps in 1..count {
        migrate::down(&url, Some(steps)).await.unwrap();
        assert_ne!(shape(&url).await, whole);
        migrate::up(&url).await.unwrap();
        assert_eq!(shape(&url).await, whole, "after {steps} down");
    }
}

#[tokio::test]
async fn a_database_of_the_replaced_service_is_adopted_with_its_rows() {
    let url = database("adopted").await;
    let mut connection = connect(&url).await;
    sqlx::raw_sql(REPLACED)
        .execute(&mut connection)
        .await
        .unwrap();
    migrate::up(&url).await.unwrap();

    let user = sqlx::query("select id, email, password_hash, created_at::text from users")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(user.get::<i32, _>("id"), 7);
    assert_eq!(user.get::<&str, _>("password_hash"), "$2b$12$abc");
    assert_eq!(user.get::<&str, _>("created_at"), "2024-01-02 03:04:05");

    type Diary = (String, Option<String>, i32, i32, Option<String>);
    let rows: Vec<Diary> = sqlx::query_as(
        "select content, analyzed_content, positive_count, negative_count, analyzed_by from thought_diaries order by id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    // Safe markup is kept as the model's, unsafe markup is not shown to anyone again.
    assert_eq!(
        rows[0].1.as_deref(),
        Some("A <span class=\"positive\">good</span> day &amp; a walk")
    );
    assert_eq!(
        (rows[0].2, rows[0].3, rows[0].4.as_deref()),
        (1, 0, Some("model"))
    );
    assert_eq!(
        (&rows[1].1, rows[1].2, rows[1].3, &rows[1].4),
        (&None, 0, 0, &None)
    );
    assert_eq!(
        (rows[2].0.as_str(), rows[2].2, rows[2].3),
        ("Never analysed at all", 0, 0)
    );

    let stats: (i64, i64, i64) = sqlx::query_as("select total_entries, positive_entries, negative_entries from user_stats where user_id = 7")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(stats, (3, 1, 0));

    // The next id is free although the service's own sequence stood behind the rows.
    let id: i32 = sqlx::query_scalar(
        "insert into users (email, password_hash) values ('new@example.com', 'x') returning id",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(id, 8);
    let twice =
        sqlx::query("insert into users (email, password_hash) values ('old@example.com', 'x')")
            .execute(&mut connection)
            .await;
    assert!(
        twice
            .unwrap_err()
            .as_database_error()
            .unwrap()
            .is_unique_violation()
    );
    sqlx::query("delete from users where id = 7")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        number(&mut connection, "select count(*) from thought_diaries").await,
        0
    );
}

#[tokio::test]
async fn an_adopted_database_ends_with_the_columns_of_a_new_one() {
    let (adopted, new) = (database("adopted_shape").await, database("new_shape").await);
    sqlx::raw_sql(REPLACED)
        .execute(&mut connect(&adopted).await)
        .await
        .unwrap();
    migrate::up(&adopted).await.unwrap();
    migrate::up(&new).await.unwrap();
    assert_eq!(shape(&adopted).await, shape(&new).await);
}

#[tokio::test]
async fn up_from_several_places_at_once_is_safe() {
    let url = database("at_once").await;
    let runs: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { migrate::up(&url).await })
        })
        .collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    let mut connection = connect(&url).await;
    let steps = i64::try_from(migrate::status(&url).await.unwrap().len()).unwrap();
    assert_eq!(
        number(
            &mut connection,
            "select count(*) from _sqlx_migrations where success"
        )
        .await,
        steps
    );
}

#[tokio::test]
async fn up_holds_an_advisory_lock_while_it_works() {
    let url = database("locks").await;
    migrate::up(&url).await.unwrap();
    migrate::down(&url, None).await.unwrap();
    let mut other = connect(&url).await;
    // Holds a run of `up` where it wants to note its step.
    sqlx::raw_sql("begin; lock table _sqlx_migrations in share mode")
        .execute(&mut other)
        .await
        .unwrap();
    let run = tokio::spawn({
        let url = url.clone();
        async move { migrate::up(&url).await }
    });
    let locks = "select count(*) from pg_locks join pg_database d on d.oid = database
        where locktype = 'advisory' and granted and datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(10);
    while number(&mut other, locks).await != 1 {
        assert!(Instant::now() < deadline, "no advisory lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_changed_step_is_refused_and_named() {
    let url = database("changed").await;
    migrate::up(&url).await.unwrap();
    let mut connection = connect(&url).await;
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 2")
        .execute(&mut connection)
        .await
        .unwrap();
    let steps = migrate::status(&url).await.unwrap();
    assert_eq!(
        steps
            .iter()
            .filter(|step| step.state == State::Changed)
            .map(|step| step.version)
            .collect::<Vec<_>>(),
        [2]
    );
    let error = format!("{:#}", migrate::up(&url).await.unwrap_err());
    assert!(error.contains('2') && error.contains("new step"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_newer_than_the_checkout_is_refused() {
    let url = database("newer").await;
    migrate::up(&url).await.unwrap();
    let mut connection = connect(&url).await;
    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'future', true, '\\x00', 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    let steps = migrate::status(&url).await.unwrap();
    assert_eq!(steps.last().unwrap().state, State::Unknown);
    let error = format!("{:#}", migrate::up(&url).await.unwrap_err());
    assert!(error.contains("update the checkout"), "{error}");
}

#[tokio::test]
async fn seeding_is_safe_to_repeat_and_clears_exactly_its_own() {
    let url = database("seed").await;
    migrate::up(&url).await.unwrap();
    let mut connection = connect(&url).await;
    sqlx::raw_sql(
        "insert into users (email, password_hash) values ('me@example.com', 'x');
        insert into thought_diaries (user_id, content) select id, 'My own entry' from users",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let added = seed::add(&url).await.unwrap();
    assert!(added >= 2);
    let diaries = number(&mut connection, "select count(*) from thought_diaries").await;
    assert!(diaries > 100);
    assert_eq!(seed::add(&url).await.unwrap(), 0);
    assert_eq!(
        number(&mut connection, "select count(*) from thought_diaries").await,
        diaries
    );

    let wrong = number(
        &mut connection,
        "select count(*) from (
            select user_id, count(*) as total_entries,
                count(*) filter (where positive_count > negative_count) as positive_entries,
                count(*) filter (where positive_count < negative_count) as negative_entries
            from thought_diaries group by user_id
        ) counted full join user_stats using (user_id, total_entries, positive_entries, negative_entries)
        where counted.user_id is null or user_stats.user_id is null",
    )
    .await;
    assert_eq!(wrong, 0);
    assert_eq!(
        number(&mut connection, "select count(*) from user_stats").await,
        3
    );
    let months = "select count(distinct date_trunc('month', created_at)) from thought_diaries";
    assert!(number(&mut connection, months).await >= 5);

    assert_eq!(
        seed::clear(&url).await.unwrap(),
        u64::try_from(added).unwrap()
    );
    assert_eq!(
        number(&mut connection, "select count(*) from users").await,
        1
    );
    assert_eq!(
        number(&mut connection, "select count(*) from thought_diaries").await,
        1
    );
    assert_eq!(
        number(&mut connection, "select total_entries from user_stats").await,
        1
    );
    assert_eq!(seed::clear(&url).await.unwrap(), 0);
}
