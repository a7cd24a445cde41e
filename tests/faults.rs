//! Postgres or Redis away or silent: a clear 503 where it is needed, and all well again when it is back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Caller, PASSWORD, fresh_email};
use crate::stage::Stage;
use crate::wire::Wire;

tests![
    without_postgres_everything_that_needs_it_says_503_and_recovers,
    a_crash_of_postgres_loses_nothing_that_was_acknowledged,
    without_redis_only_register_and_login_say_503_and_recover,
    a_silent_postgres_costs_three_seconds_and_no_more,
    a_silent_redis_costs_three_seconds_and_no_more,
];

/// What the issue gives a clear answer.
const CLEAR: Duration = Duration::from_secs(3);

/// What being well again may take.
const RECOVERED: Duration = Duration::from_secs(10);

/// Sends a call and fails when its answer takes too long, unless it was this machine that was busy: then it does not so thrice.
async fn timely(caller: &Caller, method: Method, path: &str, body: &Value) -> Answer {
    let mut waits = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let answer = caller.call(method.clone(), path).json(body).send().await;
        let waited = start.elapsed();
        if waited < CLEAR {
            return answer;
        }
        waits.push(waited);
    }
    panic!("{method} {path} took {waits:?}");
}

/// Everything that needs Postgres, at once, as a user with a token would call it.
async fn check_postgres_is_missed(user: &Caller, diary: &str) {
    let draft = json!({"content": "Nobody can store this now."});
    let credentials = json!({"email": fresh_email(), "password": PASSWORD});
    let calls = [
        (Method::GET, "/auth/me", &Value::Null),
        (Method::POST, "/auth/logout", &Value::Null),
        (Method::GET, "/diaries", &Value::Null),
        (Method::POST, "/diaries", &draft),
        (Method::GET, "/diaries/stats", &Value::Null),
        (Method::GET, diary, &Value::Null),
        (Method::PUT, diary, &draft),
        (Method::DELETE, diary, &Value::Null),
        (Method::POST, "/auth/register", &credentials),
        (Method::POST, "/auth/login", &credentials),
    ];
    let answers =
        join_all(calls.map(|(method, path, body)| timely(user, method, path, body))).await;
    for answer in answers {
        answer.expect_error(503, "service_unavailable");
    }
}

/// What needs no server goes on as ever.
async fn check_the_rest_works(user: &Caller) {
    let anonymous = user.anonymous();
    for (path, status) in [
        ("/health", 200),
        ("/version", 200),
        ("/docs", 200),
        ("/nowhere", 404),
        ("/diaries", 401),
        ("/auth/me", 401),
    ] {
        timely(&anonymous, Method::GET, path, &Value::Null)
            .await
            .expect(status);
    }
}

async fn check_readiness(user: &Caller, database: &str, redis: &str) {
    let answer = timely(user, Method::GET, "/ready", &Value::Null)
        .await
        .expect(503)
        .json();
    let checks = json!({"database": database, "redis": redis});
    assert_eq!(
        (&answer["status"], &answer["checks"]),
        (&json!("unavailable"), &checks)
    );
    assert_eq!(answer["analysis"].is_null(), database == "down", "{answer}");
}

async fn wait_until_ready(user: &Caller) {
    let start = Instant::now();
    while user.get("/ready").await.status != 200 {
        assert!(
            start.elapsed() < RECOVERED,
            "not well again after {RECOVERED:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn without_postgres_everything_that_needs_it_says_503_and_recovers(stage: &Stage) {
    let fragile = stage.fragile().await;
    let user = fragile.instance.service.user().await;
    let diary = user.write("Written before the database went.").await;
    let path = format!("/diaries/{}", diary["id"]);
    fragile.postgres.kill();
    // Once with the connections that the pool still holds, once with new ones.
    for _ in 0..2 {
        check_postgres_is_missed(&user, &path).await;
    }
    check_readiness(&user, "down", "ok").await;
    check_the_rest_works(&user).await;
    fragile
        .postgres
        .restart()
        .await
        .expect("Postgres comes back");
    wait_until_ready(&user).await;
    for _ in 0..40 {
        assert_eq!(user.get(&path).await.expect(200).json(), diary);
    }
    user.write("Written after the database came back.").await;
    assert_eq!(
        user.get("/diaries/stats").await.expect(200).json()["total_entries"],
        2
    );
    user.log_in(&user.login().email, PASSWORD)
        .await
        .get("/auth/me")
        .await
        .expect(200);
}

async fn a_crash_of_postgres_loses_nothing_that_was_acknowledged(stage: &Stage) {
    let fragile = stage.fragile().await;
    let user = fragile.instance.service.user().await;
    let stop = AtomicBool::new(false);
    let crash = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        fragile.postgres.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        fragile
            .postgres
            .restart()
            .await
            .expect("Postgres comes back");
        wait_until_ready(&user).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let writers = join_all((0..6).map(|writer| write_until(&user, writer, &stop)));
    let ((), written) = tokio::join!(crash, writers);
    let acknowledged: BTreeSet<i64> = written.into_iter().flatten().collect();
    assert!(
        acknowledged.len() > 20,
        "enough was going on: {}",
        acknowledged.len()
    );
    let stored = stored(&user).await;
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // A write whose answer was lost may have been carried out; the totals know of it.
    let stats = user.get("/diaries/stats").await.expect(200).json();
    assert_eq!(stats["total_entries"], stored.len());
}

/// Writes one entry after another; gives the ids of those that were acknowledged.
async fn write_until(user: &Caller, writer: usize, stop: &AtomicBool) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let draft = json!({"content": format!("Writer {writer} has written {} entries.", acknowledged.len())});
        let answer = user.post("/diaries", &draft).await;
        match answer.status {
            201 => acknowledged.push(answer.json()["id"].as_i64().expect("an id")),
            _ => drop(answer.expect_error(503, "service_unavailable")),
        }
    }
    acknowledged
}

/// The ids of all entries of a user.
async fn stored(user: &Caller) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    for page in 1.. {
        let body = user
            .get(&format!("/diaries?per_page=100&page={page}"))
            .await
            .expect(200)
            .json();
        let items = body["items"].as_array().expect("a list");
        if items.is_empty() {
            break;
        }
        ids.extend(
            items
                .iter()
                .map(|diary| diary["id"].as_i64().expect("an id")),
        );
    }
    ids
}

async fn check_redis_is_missed(user: &Caller) {
    let credentials = json!({"email": user.login().email, "password": PASSWORD});
    let caller = user.anonymous();
    for path in ["/auth/login", "/auth/register"] {
        let answer = timely(&caller, Method::POST, path, &credentials).await;
        answer.expect_error(503, "service_unavailable");
    }
    check_readiness(user, "ok", "down").await;
    check_the_rest_works(user).await;
    // Who is logged in notices nothing.
    let diary = timely(
        user,
        Method::POST,
        "/diaries",
        &json!({"content": "Redis is not needed for this."}),
    )
    .await;
    let path = format!("/diaries/{}", diary.expect(201).json()["id"]);
    timely(user, Method::GET, &path, &Value::Null)
        .await
        .expect(200);
    timely(user, Method::GET, "/diaries", &Value::Null)
        .await
        .expect(200);
    timely(user, Method::GET, "/auth/me", &Value::Null)
        .await
        .expect(200);
    let refresh = user
        .call(Method::POST, "/auth/refresh")
        .bearer(&user.login().refresh_token);
    refresh.send().await.expect(200);
}

async fn without_redis_only_register_and_login_say_503_and_recover(stage: &Stage) {
    let fragile = stage.fragile().await;
    let user = fragile.instance.service.user().await;
    fragile.redis.kill();
    check_redis_is_missed(&user).await;
    fragile.redis.restart().await.expect("Redis comes back");
    wait_until_ready(&user).await;
    for _ in 0..5 {
        user.log_in(&user.login().email, PASSWORD).await;
    }
    fragile.instance.service.user().await;
    // A logout while Redis was away would have held as well: it is not in Redis.
    user.call(Method::POST, "/auth/logout")
        .send()
        .await
        .expect(200);
}

async fn a_silent_postgres_costs_three_seconds_and_no_more(stage: &Stage) {
    let (postgres, _) = stage.server_addresses();
    let wire = Wire::to(postgres).await;
    let database_url = stage.empty_database().await;
    testbed::migrate::up(&database_url)
        .await
        .expect("an empty database migrates");
    let redis_url = stage.fresh_redis();
    let instance = stage
        .instance(
            &wire.over(&database_url),
            &redis_url,
            &[("register_limit", "off")],
        )
        .await;
    let user = instance.service.user().await;
    let path = format!(
        "/diaries/{}",
        user.write("Written before the silence.").await["id"]
    );
    wire.fall_silent();
    for _ in 0..2 {
        check_postgres_is_missed(&user, &path).await;
    }
    check_readiness(&user, "down", "ok").await;
    check_the_rest_works(&user).await;
    wire.speak();
    wait_until_ready(&user).await;
    // What was asked in the silence may have been carried out after it: the logout, the deletion.
    let again = user.log_in(&user.login().email, PASSWORD).await;
    for _ in 0..40 {
        again.get("/diaries").await.expect(200);
    }
    let stats = again.get("/diaries/stats").await.expect(200).json();
    assert_eq!(stats["total_entries"], stored(&again).await.len());
    instance.app.stop().await;
}

async fn a_silent_redis_costs_three_seconds_and_no_more(stage: &Stage) {
    let (_, redis) = stage.server_addresses();
    let wire = Wire::to(redis).await;
    let database_url = stage.empty_database().await;
    testbed::migrate::up(&database_url)
        .await
        .expect("an empty database migrates");
    let redis_url = wire.over(&stage.fresh_redis());
    let instance = stage
        .instance(
            &database_url,
            &redis_url,
            &[("register_limit", "off"), ("login_limit", "100/1h")],
        )
        .await;
    let user = instance.service.user().await;
    wire.fall_silent();
    let credentials = json!({"email": user.login().email, "password": PASSWORD});
    for _ in 0..2 {
        let answer = timely(&user.anonymous(), Method::POST, "/auth/login", &credentials).await;
        answer.expect_error(503, "service_unavailable");
    }
    check_readiness(&user, "ok", "down").await;
    check_the_rest_works(&user).await;
    timely(&user, Method::GET, "/diaries", &Value::Null)
        .await
        .expect(200);
    wire.speak();
    wait_until_ready(&user).await;
    for _ in 0..5 {
        user.log_in(&user.login().email, PASSWORD).await;
    }
    instance.app.stop().await;
}
