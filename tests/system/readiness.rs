//! `GET /ready` beyond outages: an old schema, and a Redis that answers but cannot be written.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;
use crate::support::repository::migrate;

async fn assert_ready(instance: &Instance, status: u16, expected: [&str; 3]) {
    let [state, database, redis] = expected;
    let response = instance.anonymous().get("/ready").await;
    let checks = json!({"database": database, "redis": redis});
    let expected = json!({"status": state, "checks": checks});
    assert_eq!(response.expect_status(status).json(), expected);
}

const READY: [&str; 3] = ["ready", "ok", "ok"];
const DEGRADED: [&str; 3] = ["degraded", "ok", "down"];
const MIGRATE: [&str; 3] = ["unavailable", "migrate", "ok"];

#[apply(e2e_test!)]
async fn is_unavailable_until_every_migration_was_applied(env: &TestEnv) {
    let database_url = env.new_database().await;
    let redis_url = env.new_redis_database();
    let instance = env.start_instance_on(&database_url, &redis_url, &[]).await;
    assert_ready(&instance, 503, MIGRATE).await;
    migrate::up(&database_url).await.expect("it migrates");
    assert_ready(&instance, 200, READY).await;
    migrate::down(&database_url, Some(1))
        .await
        .expect("it reverts");
    assert_ready(&instance, 503, MIGRATE).await;
    migrate::up(&database_url).await.expect("it migrates");
    assert_ready(&instance, 200, READY).await;
}

/// A full or read-only Redis still answers PING.
#[apply(e2e_test!)]
async fn is_degraded_while_redis_cannot_be_written(env: &TestEnv) {
    let redis = env.start_redis().await;
    let database_url = env.new_migrated_database().await;
    let instance = env
        .start_instance_on(&database_url, &redis.url(0), &[])
        .await;
    let user = instance.user().await;
    let entry = user.create_entry("A lovely day at the lake.").await;
    let commands: [(&[&str], &[&str]); 2] = [
        // Full: the default policy is noeviction.
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            &["REPLICAOF", "NO", "ONE"],
        ),
    ];
    for (break_redis, repair_redis) in commands {
        assert_ready(&instance, 200, READY).await;
        execute(&instance, break_redis).await;
        assert_ready(&instance, 200, DEGRADED).await;
        // Logged-in users are served.
        assert_eq!(user.read_entry(&entry).await, entry);
        let created: Value = user.create_entry("Redis is not needed for this.").await;
        assert_eq!(user.read_entry(&created).await, created);
        execute(&instance, repair_redis).await;
    }
    assert_ready(&instance, 200, READY).await;
}

async fn execute(instance: &Instance, command: &[&str]) {
    let mut redis = instance.redis().await;
    let mut request = redis::cmd(command[0]);
    request.arg(&command[1..]);
    let executed = request.exec_async(&mut redis).await;
    executed.expect("Redis executes the command");
}
