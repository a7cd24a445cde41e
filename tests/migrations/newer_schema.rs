//! The components on the schema of a next version, as during an upgrade and after a rollback.

use std::fs;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;
use tempfile::TempDir;

use crate::support::client::entry_path;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::migrate::{LockWait, Migrations};
use crate::support::repository::path;

/// Expands everything that a migration may expand (CONTRIBUTING.md): each table gets a column with a default, and
/// each function a parameter with a default, except those that an index or a trigger uses.
const NEXT: &str = "
    do $$
    declare
        item record;
    begin
        for item in
            select tablename from pg_tables where schemaname = 'public' and tablename <> '_sqlx_migrations'
        loop
            execute format('alter table %I add column next_version text not null default ''new''', item.tablename);
        end loop;
        for item in
            select oid::regprocedure as signature, pg_get_functiondef(oid) as definition,
                pg_get_function_arguments(oid) as arguments
            from pg_proc function
            where pronamespace = 'public'::regnamespace and pronargs > 0 and not exists (
                select from pg_depend where refclassid = 'pg_proc'::regclass and refobjid = function.oid
            )
        loop
            execute format('drop function %s', item.signature);
            execute replace(item.definition, format('(%s)', item.arguments),
                format('(%s, next_version text default ''new'')', item.arguments));
        end loop;
    end $$";

#[apply(e2e_test!)]
async fn serve_every_call(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let user = instance.user().await;
    let before = user.create_entry("A lovely day before the upgrade.").await;

    let folder = TempDir::new().expect("a folder is created");
    for file in fs::read_dir(path("migrations")).expect("the folder is readable") {
        let file = file.expect("the folder is readable");
        fs::copy(file.path(), folder.path().join(file.file_name())).expect("the file is copied");
    }
    for (name, sql) in [("9999_next.up.sql", NEXT), ("9999_next.down.sql", "")] {
        fs::write(folder.path().join(name), sql).expect("the file is written");
    }
    let migrations = Migrations::read(folder.path(), LockWait::default());
    let migrations = migrations.expect("the files are read");
    let applied = migrations.up(&instance.database_url).await;
    applied.expect("the next version migrates");
    let changed = "select count(*) from pg_proc where 'next_version' = any (proargnames)";
    let database = instance.database().await;
    assert!(database.value::<i64>(changed, &[]).await > 10);

    let ready = instance.anonymous().get("/ready").await.expect_status(200);
    assert_eq!(ready.json()["status"], "ready");
    let other = instance.user().await;
    assert_eq!(user.read_entry(&before).await, before);
    let entry = user.create_entry("An awful evening.").await;
    let updated = user.update_entry(&entry, "A wonderful evening after all.");
    updated.await.expect_status(200);
    let found = user.list("?q=evening").await;
    assert_eq!(found["total"], 1);
    let trend = user.get("/diaries/stats/trend?interval=week").await;
    trend.expect_status(200);
    let export = user.request(Method::GET, "/auth/me/export");
    let export = export.send_unchecked().await.expect_status(200).text();
    let import = other.request(Method::POST, "/diaries/import");
    let import = import.body("application/x-ndjson", export).send().await;
    assert_eq!(import.expect_status(200).json()["imported"], 2);
    assert_eq!(other.stats().await, user.stats().await);
    assert_eq!(user.stats().await["total_entries"], 2);
    let deleted = user.delete(&entry_path(&entry)).await;
    deleted.expect_status(204);
    assert_eq!(user.all_entries().await.len(), 1);
    let passwords = json!({"current_password": "Passw0rd!", "new_password": "N3w-Passw0rd!"});
    let changed = user.put("/auth/password", &passwords).await;
    changed.expect_status(200);
    user.log_out().await.expect_status(200);
    user.get("/diaries")
        .await
        .expect_error(401, "token_revoked");
}
