//! The bound on how many passwords are hashed at once.

use futures::future::join_all;
use macro_rules_attribute::apply;
use redis::AsyncCommands;

use crate::support::client::PASSWORD;
use crate::support::env::{HIGH_LIMITS, TestEnv};
use crate::support::registry::e2e_test;

/// The Redis key of the slots in use.
const KEY: &str = "{hashing}:slots";

/// A time that is not reached: Unix milliseconds of the year 2100.
const NEVER: i64 = 4_102_444_800_000;

#[apply(e2e_test!)]
async fn lets_waiting_logins_succeed_and_releases_every_slot(env: &TestEnv) {
    let settings = [HIGH_LIMITS, &[("password_hash_slots", "1")]].concat();
    let instance = env.start_instance(&settings).await;
    let user = instance.user().await;
    // Each asserts its success.
    join_all((0..8).map(|_| user.log_in(&user.session().email, PASSWORD))).await;
    let used: i64 = instance.redis().await.zcard(KEY).await.expect("a count");
    assert_eq!(used, 0);
}

#[apply(e2e_test!)]
async fn responds_503_when_no_slot_becomes_free_and_says_so_in_the_log(env: &TestEnv) {
    let instance = env.start_instance(&[("password_hash_slots", "1")]).await;
    let user = instance.user().await;
    let mut redis = instance.redis().await;
    let _: i64 = redis.zadd(KEY, "another", NEVER).await.expect("added");
    let email = &user.session().email;
    let login = user.anonymous().try_log_in(email, PASSWORD).await;
    let login = login.expect_error(503, "service_unavailable");
    assert_eq!(login.number("retry-after"), 5);
    let cause = "because password_hash_slots is 1 and all were in use";
    instance.wait_for_log(&[cause, "\"status\":503"]).await;
    user.get("/auth/me").await.expect_status(200);
}

/// The slot of an instance that ended while it hashed.
#[apply(e2e_test!)]
async fn takes_over_a_slot_that_has_expired(env: &TestEnv) {
    let instance = env.start_instance(&[("password_hash_slots", "1")]).await;
    let mut redis = instance.redis().await;
    let _: i64 = redis.zadd(KEY, "another", 1).await.expect("added");
    instance.user().await;
}
