//! Migrations while other transactions hold locks, and those that change rows in batches.

use std::path::Path;
use std::time::{Duration, Instant};

use testbed::migrate::{LockWait, Migrations};
use testbed::{database, postgres};
use tokio_postgres::Client;

/// Attempts follow each other at once, so that tests are fast.
const LOCK_WAIT: LockWait = LockWait {
    timeout: Duration::from_millis(200),
    attempts: 40,
    pause: Duration::from_millis(50),
};

/// A Postgres with one database and a folder of migrations.
struct Setup {
    folder: tempfile::TempDir,
    _server: postgres::Server,
    url: String,
}

impl Setup {
    /// Starts Postgres and applies a first step, which creates the table `notes`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = postgres::Server::start_throw_away(&folder.path().join("postgres")).await;
        let server = server.unwrap();
        let url = server.create_database("notes").await.unwrap();
        let setup = Self {
            folder,
            _server: server,
            url,
        };
        setup.write_step(
            "0001_notes",
            "create table notes (id int)",
            "drop table notes",
        );
        setup.migrations(LOCK_WAIT).up(&setup.url).await.unwrap();
        setup
    }

    fn migrations_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("migrations")
    }

    fn write_step(&self, name: &str, up: &str, down: &str) {
        let folder = self.migrations_folder();
        std::fs::create_dir_all(&folder).unwrap();
        write(&folder, &format!("{name}.up.sql"), up);
        write(&folder, &format!("{name}.down.sql"), down);
    }

    fn write_locking_step(&self) {
        let (up, down) = ("add column mood int", "drop column mood");
        let alter = |change| format!("alter table notes {change}");
        self.write_step("0002_mood", &alter(up), &alter(down));
    }

    fn migrations(&self, lock_wait: LockWait) -> Migrations {
        Migrations::read(&self.migrations_folder(), lock_wait).unwrap()
    }

    async fn connect(&self) -> Client {
        database::connect(&self.url).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        let row = self.connect().await.query_one(sql, &[]).await;
        row.unwrap().get(0)
    }

    async fn applied_steps(&self) -> i64 {
        self.number("select count(*) from _sqlx_migrations").await
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn a_step_that_gets_no_lock_lets_other_statements_through_and_tries_again() {
    let setup = Setup::new().await;
    setup.write_locking_step();
    let reader = setup.connect().await;
    let lock = "begin; select from notes";
    reader.batch_execute(lock).await.unwrap();
    let migrations = setup.migrations(LOCK_WAIT);
    let url = setup.url.clone();
    let run = tokio::spawn(async move { migrations.up(&url).await });

    // Statements that arrive now wait behind the step, but not until the reader ends.
    let writer = setup.connect().await;
    let insert = "set statement_timeout = '2500ms'; insert into notes values (1)";
    let start = Instant::now();
    for _ in 0..10 {
        writer.batch_execute(insert).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(1));
    assert_eq!(setup.applied_steps().await, 1, "the reader holds the lock");
    assert!(!run.is_finished());

    reader.batch_execute("commit").await.unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(setup.applied_steps().await, 2);
    assert_eq!(setup.number("select count(*) from notes").await, 10);
}

#[tokio::test]
async fn a_step_that_never_gets_a_lock_fails_and_leaves_nothing() {
    let setup = Setup::new().await;
    setup.write_locking_step();
    let reader = setup.connect().await;
    let lock = "begin; select from notes";
    reader.batch_execute(lock).await.unwrap();
    let migrations = setup.migrations(LockWait {
        attempts: 3,
        ..LOCK_WAIT
    });
    let error = migrations.up(&setup.url).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "step 0002 mood got no lock in 3 attempts, and nothing of it was kept: end the transaction that holds the \
         lock, which pg_stat_activity lists, then run `cargo xtask migrate up` again"
    );
    assert_eq!(setup.applied_steps().await, 1);
    reader.batch_execute("commit").await.unwrap();
    migrations.up(&setup.url).await.unwrap();
    assert_eq!(setup.applied_steps().await, 2);
}

/// The owner's role may have a lock timeout (deploy/postgres/role.sql).
#[tokio::test]
async fn a_run_waits_for_another_run_longer_than_for_a_lock() {
    let setup = Setup::new().await;
    setup.write_locking_step();
    let other = setup.connect().await;
    let lock = "select pg_advisory_lock(hashtext('_sqlx_migrations'))";
    other.query_one(lock, &[]).await.unwrap();
    let migrations = setup.migrations(LOCK_WAIT);
    let url = format!("{}?options=-c%20lock_timeout%3D100", setup.url);
    assert!(!setup.url.contains('?'));
    let run = tokio::spawn(async move { migrations.up(&url).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!run.is_finished());
    drop(other);
    run.await.unwrap().unwrap();
    assert_eq!(setup.applied_steps().await, 2);
}

#[tokio::test]
async fn a_step_in_batches_commits_each_and_continues_after_a_failure() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let fill = "alter table notes add column mood int;
        insert into notes select generate_series(1, 25);
        create table transactions (id text);
        create function note() returns trigger language plpgsql as $$ begin
            insert into transactions values (pg_current_xact_id()::text);
            if (select count(*) from transactions) = 2 then raise exception 'the disk is full'; end if;
            return null;
        end $$;
        create trigger note after update on notes for each statement execute function note()";
    client.batch_execute(fill).await.unwrap();
    setup.write_step(
        "0002_fill_mood",
        "-- in batches\nupdate notes set mood = 1 where id in (select id from notes where mood is null limit 10);\n",
        "-- in batches\nupdate notes set mood = null where id in (select id from notes where mood is not null limit 10);\n",
    );
    let migrations = setup.migrations(LOCK_WAIT);
    let filled = "select count(*) from notes where mood = 1";

    let error = migrations.up(&setup.url).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("its batches so far were kept"), "{error}");
    assert_eq!(setup.number(filled).await, 10);
    assert_eq!(setup.applied_steps().await, 1);

    client
        .batch_execute("drop trigger note on notes")
        .await
        .unwrap();
    migrations.up(&setup.url).await.unwrap();
    assert_eq!(setup.number(filled).await, 25);
    assert_eq!(setup.applied_steps().await, 2);
    migrations.down(&setup.url, 1).await.unwrap();
    assert_eq!(setup.number(filled).await, 0);
}
