//! Rate limits while Redis is unreachable: Postgres counts.

use macro_rules_attribute::apply;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_email;

/// Nothing listens on this port.
const UNREACHABLE_REDIS: &str = "redis://127.0.0.1:1/0";

const LIMITS: [(&str, &str); 2] = [("login_limit", "2/1h"), ("register_limit", "1/1h")];

async fn start_without_redis(env: &TestEnv) -> Instance {
    let database_url = env.new_migrated_database().await;
    env.start_instance_on(&database_url, UNREACHABLE_REDIS, &LIMITS)
        .await
}

async fn log_in(client: &Client) -> u16 {
    let response = client.try_log_in(&unique_email(), PASSWORD).await;
    response.status
}

#[apply(e2e_test!)]
async fn allow_logins_and_registrations(env: &TestEnv) {
    let instance = start_without_redis(env).await;
    let user = instance.user().await;
    let client = user.anonymous();
    for remaining in [1, 0] {
        let login = client.try_log_in(&user.session().email, PASSWORD).await;
        let login = login.expect_status(200);
        assert_eq!(login.number("x-ratelimit-limit"), 2);
        assert_eq!(login.number("x-ratelimit-remaining"), remaining);
    }
    let limited = client.try_log_in(&user.session().email, PASSWORD).await;
    let limited = limited.expect_error(429, "rate_limit_exceeded");
    assert!((3500..=3600).contains(&limited.number("retry-after")));
    instance.wait_for_log(&["Postgres counts instead"]).await;
}

#[apply(e2e_test!)]
async fn count_each_address_and_route_alone(env: &TestEnv) {
    let instance = start_without_redis(env).await;
    let client = instance.anonymous();
    let registered = client.register(&unique_email(), PASSWORD).await;
    registered.expect_status(201);
    let limited = client.register(&unique_email(), PASSWORD).await;
    limited.expect_error(429, "rate_limit_exceeded");
    let statuses = [
        log_in(&client).await,
        log_in(&client).await,
        log_in(&client).await,
    ];
    assert_eq!(statuses, [401, 401, 429]);
    assert_eq!(log_in(&client.anonymous()).await, 401);
}

#[apply(e2e_test!)]
async fn are_shared_by_all_instances(env: &TestEnv) {
    let here = start_without_redis(env).await;
    let there = env.start_replica(&here, &LIMITS).await;
    let client = here.anonymous();
    assert_eq!(log_in(&client).await, 401);
    let moved = client.on(&there.service);
    assert_eq!([log_in(&moved).await, log_in(&moved).await], [401, 429]);
    assert_eq!(log_in(&client).await, 429);
}
