//! The migrations on a new database: every step up and down, one run at a time, and no step that was changed.

use std::time::{Duration, Instant};

use futures::future::join_all;
use macro_rules_attribute::apply;

use crate::support::database::Database;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::migrate::{self, State};

/// Returns all columns, constraints, triggers, functions and indexes as text.
pub async fn schema(url: &str) -> Vec<String> {
    let statement = "
        select concat_ws(' ', 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default)
            from information_schema.columns where table_schema = 'public' and table_name <> '_sqlx_migrations'
        union all select concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
            from pg_constraint where connamespace = 'public'::regnamespace and conrelid::regclass::text <> '_sqlx_migrations'
        union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
        union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
        union all select indexdef from pg_indexes where schemaname = 'public' and tablename <> '_sqlx_migrations'
        order by 1";
    let database = Database::connect(url).await;
    database.column(statement).await
}

pub async fn up(url: &str) {
    migrate::up(url).await.expect("the migrations go up");
}

pub async fn down(url: &str, steps: usize) {
    let down = migrate::down(url, Some(steps)).await;
    down.expect("the migrations go down");
}

async fn states(url: &str) -> Vec<State> {
    let steps = migrate::status(url).await.expect("the status is readable");
    steps.iter().map(|step| step.state).collect()
}

/// Returns the number of migrations in this repository.
pub async fn step_count(url: &str) -> usize {
    states(url).await.len()
}

#[apply(e2e_test!)]
async fn go_up_down_and_up_again(env: &TestEnv) {
    let url = env.new_database().await;
    let count = step_count(&url).await;
    assert_ne!(count, 0);
    assert_eq!(states(&url).await, vec![State::Pending; count]);
    let outdated = migrate::ensure_current(&url).await;
    assert!(outdated.is_err(), "every step is pending");

    up(&url).await;
    let migrated = schema(&url).await;
    assert_eq!(states(&url).await, vec![State::Applied; count]);
    let current = migrate::ensure_current(&url).await;
    current.expect("every step is applied");
    up(&url).await;
    assert_eq!(schema(&url).await, migrated, "a second run changes nothing");

    migrate::down(&url, None).await.expect("one step goes down");
    let mut expected = vec![State::Applied; count];
    expected[count - 1] = State::Pending;
    assert_eq!(states(&url).await, expected);
    down(&url, count).await;
    assert_eq!(states(&url).await, vec![State::Pending; count]);
    assert_eq!(schema(&url).await, Vec::<String>::new());

    up(&url).await;
    assert_eq!(schema(&url).await, migrated);
}

#[apply(e2e_test!)]
async fn go_down_by_any_number_of_steps_and_up_again(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let migrated = schema(&url).await;
    let count = step_count(&url).await;
    assert!(count > 1, "{count}");
    for steps in 1..count {
        down(&url, steps).await;
        assert_ne!(schema(&url).await, migrated, "{steps} steps down");
        up(&url).await;
        assert_eq!(schema(&url).await, migrated, "{steps} steps down and up");
    }
}

#[apply(e2e_test!)]
async fn run_once_for_6_concurrent_runs(env: &TestEnv) {
    let url = env.new_database().await;
    for run in join_all((0..6).map(|_| migrate::up(&url))).await {
        run.expect("each run waits for the others");
    }
    let database = Database::connect(&url).await;
    let statement = "select version from _sqlx_migrations where success";
    let applied: Vec<i64> = database.column(statement).await;
    assert_eq!(applied.len(), step_count(&url).await);
}

#[apply(e2e_test!)]
async fn hold_an_advisory_lock(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    down(&url, 1).await;
    let other = Database::connect(&url).await;
    // The run blocks where it records its step.
    let block = "begin; lock table _sqlx_migrations in share mode";
    other.batch(block).await;
    let run = tokio::spawn({
        let url = url.clone();
        async move { migrate::up(&url).await }
    });
    let locks = "select count(*) from pg_locks join pg_database d on d.oid = database
        where locktype = 'advisory' and granted and datname = current_database()";
    let start = Instant::now();
    while other.value::<i64>(locks, &[]).await != 1 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "no advisory lock"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    other.batch("commit").await;
    let run = run.await.expect("the run does not panic");
    run.expect("the migrations go up");
}

#[apply(e2e_test!)]
async fn refuse_a_step_that_was_changed(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    let statement = "update _sqlx_migrations set checksum = '\\x00' where version = 2";
    assert_eq!(database.execute(statement, &[]).await, 1);
    let mut expected = vec![State::Applied; step_count(&url).await];
    // The first step has the number 0.
    expected[2] = State::Changed;
    assert_eq!(states(&url).await, expected);
    let error = migrate::up(&url).await.expect_err("step 2 was changed");
    let error = format!("{error:#}");
    assert!(error.contains('2') && error.contains("new step"), "{error}");
}

#[apply(e2e_test!)]
async fn refuse_a_database_that_is_newer(env: &TestEnv) {
    let url = env.new_migrated_database().await;
    let database = Database::connect(&url).await;
    let count = step_count(&url).await;
    let statement = "
        insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'future', true, '\\x00', 0)";
    assert_eq!(database.execute(statement, &[]).await, 1);
    let mut expected = vec![State::Applied; count];
    expected.push(State::Unknown);
    assert_eq!(states(&url).await, expected);
    let error = migrate::up(&url).await.expect_err("step 9999 is unknown");
    let error = format!("{error:#}");
    assert!(error.contains("update the checkout"), "{error}");
}
