//! How many requests of one user may write entries.

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::{Client, entry_path};
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;
use crate::support::response::Response;

const TEXT: &str = "A lovely walk to the lake.";

const HOUR: i64 = 3600;

async fn start(env: &TestEnv, limit: &str) -> Instance {
    env.start_instance(&[("write_limit", limit)]).await
}

async fn create(user: &Client) -> Response {
    user.post("/diaries", &json!({"content": TEXT})).await
}

async fn import(user: &Client, lines: String) -> Response {
    let request = user.request(Method::POST, "/diaries/import");
    request.body("application/x-ndjson", lines).send().await
}

/// Returns the lines of an import with this many entries.
fn lines(count: u32) -> String {
    let line = |number: u32| {
        let created_at = format!("2026-01-01T{:02}:{:02}:00Z", number / 60, number % 60);
        let line = json!({"type": "diary", "content": TEXT, "created_at": created_at});
        format!("{line}\n")
    };
    (0..count).map(line).collect()
}

#[track_caller]
fn expect_counted(response: Response, status: u16, remaining: i64) -> Response {
    let response = response.expect_status(status);
    assert_eq!(response.number("x-ratelimit-remaining"), remaining);
    let reset_in = response.number("x-ratelimit-reset") - chrono::Utc::now().timestamp();
    assert!((HOUR - 60..=HOUR + 2).contains(&reset_in), "{reset_in}");
    response
}

#[track_caller]
fn expect_limited(response: Response, limit: i64) {
    let response = response.expect_error(429, "rate_limit_exceeded");
    assert_eq!(response.number("x-ratelimit-limit"), limit);
    assert_eq!(response.number("x-ratelimit-remaining"), 0);
    assert!((HOUR - 60..=HOUR).contains(&response.number("retry-after")));
}

#[apply(e2e_test!)]
async fn counts_every_route_that_writes(env: &TestEnv) {
    let instance = start(env, "6/1h").await;
    let user = instance.user().await;
    let created = expect_counted(create(&user).await, 201, 5);
    assert_eq!(created.number("x-ratelimit-limit"), 6);
    let entry = created.json();
    let updated = user.update_entry(&entry, "Another lovely text.").await;
    expect_counted(updated, 200, 4);
    expect_counted(user.analyze_entry(&entry).await, 200, 3);
    expect_counted(user.delete(&entry_path(&entry)).await, 204, 2);
    // A failure counts as well.
    expect_counted(user.delete(&entry_path(&entry)).await, 404, 1);
    expect_counted(import(&user, lines(1)).await, 200, 0);

    let kept = &user.all_entries().await[0];
    expect_limited(create(&user).await, 6);
    expect_limited(user.update_entry(kept, "Yet another text.").await, 6);
    expect_limited(user.analyze_entry(kept).await, 6);
    expect_limited(user.delete(&entry_path(kept)).await, 6);
    expect_limited(import(&user, lines(2)).await, 6);
    assert_eq!(user.all_entries().await, std::slice::from_ref(kept));
}

#[apply(e2e_test!)]
async fn is_separate_for_each_user_and_shared_by_all_instances(env: &TestEnv) {
    let one = start(env, "2/1h").await;
    let replica = env.start_replica(&one, &[("write_limit", "2/1h")]).await;
    let user = one.user().await;
    create(&user).await.expect_status(201);
    create(&user.on(&replica.service)).await.expect_status(201);
    expect_limited(create(&user).await, 2);
    create(&one.user().await).await.expect_status(201);
}

#[apply(e2e_test!)]
async fn allows_exactly_10_of_40_concurrent_writes(env: &TestEnv) {
    let instance = start(env, "10/1h").await;
    let user = instance.user().await;
    let responses = join_all((0..40).map(|_| create(&user))).await;
    let created = |response: &&Response| response.status == 201;
    assert_eq!(responses.iter().filter(created).count(), 10);
    assert_eq!(user.list("").await["total"], 10);
}

/// 250 entries are two batches.
#[apply(e2e_test!)]
async fn counts_an_import_once(env: &TestEnv) {
    let instance = start(env, "2/1h").await;
    let user = instance.user().await;
    let imported = expect_counted(import(&user, lines(250)).await, 200, 1);
    assert_eq!(imported.json(), json!({"imported": 250, "skipped": 0}));
    create(&user).await.expect_status(201);
    expect_limited(import(&user, lines(251)).await, 2);
    assert_eq!(user.list("").await["total"], 251);
}

#[apply(e2e_test!)]
async fn starts_anew_after_the_window(env: &TestEnv) {
    let instance = start(env, "1/1h").await;
    let user = instance.user().await;
    create(&user).await.expect_status(201);
    expect_limited(create(&user).await, 1);
    let end = "update write_counts set window_ends_at = now() at time zone 'utc'";
    assert_eq!(instance.database().await.execute(end, &[]).await, 1);
    expect_counted(create(&user).await, 201, 0);
    expect_limited(create(&user).await, 1);
}

#[apply(e2e_test!)]
async fn is_off_with_that_value(env: &TestEnv) {
    let instance = start(env, "off").await;
    let user = instance.user().await;
    let created = create(&user).await.expect_status(201);
    assert_eq!(created.header("x-ratelimit-limit"), None);
}

/// The holder of a revoked token must not use up the writes of its user.
#[apply(e2e_test!)]
async fn does_not_count_requests_of_an_ended_session(env: &TestEnv) {
    let instance = start(env, "1/1h").await;
    let user = instance.user().await;
    let ended = user.log_in(&user.session().email, "Passw0rd!").await;
    ended.log_out().await.expect_status(200);
    for _ in 0..2 {
        let response = create(&ended).await.expect_error(401, "token_revoked");
        assert_eq!(response.header("x-ratelimit-limit"), None);
    }
    create(&user).await.expect_status(201);
}

/// The counts are in Postgres, where the entries are.
#[apply(e2e_test!)]
async fn holds_while_redis_is_unreachable(env: &TestEnv) {
    let database_url = env.new_migrated_database().await;
    let redis_url = env.new_redis_database();
    let direct = env.start_instance_on(&database_url, &redis_url, &[]).await;
    // Nothing listens on this port.
    let unreachable = "redis://127.0.0.1:1/0";
    let settings = [("write_limit", "1/1h")];
    let instance = env.start_instance_on(&database_url, unreachable, &settings);
    let instance = instance.await;
    let user = direct.user().await.on(&instance.service);
    create(&user).await.expect_status(201);
    expect_limited(create(&user).await, 1);
}
