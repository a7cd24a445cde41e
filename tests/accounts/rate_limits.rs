//! How often one client address may register and log in.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;
use crate::support::unique::unique_email;

const HOUR: i64 = 3600;
const QUARTER_HOUR: i64 = 900;

/// Returns credentials that nobody has registered with.
fn new_credentials() -> Value {
    json!({"email": unique_email(), "password": PASSWORD})
}

async fn register(client: &Client) -> Response {
    client.register(&unique_email(), PASSWORD).await
}

/// Tries to log in to an account that does not exist: 401 while the limit allows it, then 429.
async fn log_in(client: &Client) -> Response {
    client.try_log_in(&unique_email(), PASSWORD).await
}

/// Uses up the five logins that an address has.
async fn use_up_logins(client: &Client) {
    for _ in 0..5 {
        log_in(client)
            .await
            .expect_error(401, "invalid_credentials");
    }
}

#[track_caller]
fn expect_limited(response: Response, limit: i64, window: i64) {
    let response = response.expect_error(429, "rate_limit_exceeded");
    assert_eq!(response.number("x-ratelimit-limit"), limit);
    assert_eq!(response.number("x-ratelimit-remaining"), 0);
    let retry_after = response.number("retry-after");
    assert!((1..=window).contains(&retry_after), "{}", response.dump());
    // The test reads the clock some time after the service.
    let reset_in = response.number("x-ratelimit-reset") - chrono::Utc::now().timestamp();
    let difference = (reset_in - retry_after).abs();
    assert!(difference <= 5, "{}", response.dump());
}

#[apply(e2e_test!)]
async fn allow_exactly_5_of_40_concurrent_logins(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let client = user.anonymous();
    let email = &user.session().email;
    let logins = (0..40).map(|_| client.try_log_in(email, PASSWORD));
    let responses = join_all(logins).await;
    let (limited, allowed): (Vec<_>, Vec<_>) = responses
        .into_iter()
        .partition(|response| response.status == 429);
    let statuses: Vec<u16> = allowed.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200; 5]);
    let remaining = |response: &Response| response.number("x-ratelimit-remaining");
    let mut remaining: Vec<i64> = allowed.iter().map(remaining).collect();
    remaining.sort_unstable();
    assert_eq!(remaining, [0, 1, 2, 3, 4]);
    assert_eq!(limited.len(), 35);
    for response in limited {
        expect_limited(response, 5, QUARTER_HOUR);
    }
}

#[apply(e2e_test!)]
async fn reject_the_fourth_registration_in_an_hour(env: &TestEnv) {
    env.without_proxy();
    let client = env.anonymous();
    for _ in 0..3 {
        register(&client).await.expect_status(201);
    }
    let email = unique_email();
    expect_limited(client.register(&email, PASSWORD).await, 3, HOUR);
    let other_client = client.anonymous();
    let registered = other_client.register(&email, PASSWORD).await;
    registered.expect_status(201);
}

#[apply(e2e_test!)]
async fn are_reported_by_every_response_of_both_routes(env: &TestEnv) {
    env.without_proxy();
    let client = env.anonymous();
    let email = unique_email();
    let check = |response: Response, limit: i64, remaining: i64, window: i64| {
        let dump = response.dump();
        assert_eq!(response.number("x-ratelimit-limit"), limit, "{dump}");
        assert_eq!(
            response.number("x-ratelimit-remaining"),
            remaining,
            "{dump}"
        );
        // The window began with the first request of this test.
        let reset_in = response.number("x-ratelimit-reset") - chrono::Utc::now().timestamp();
        assert!((window - 30..=window + 2).contains(&reset_in), "{dump}");
    };
    let created = client.register(&email, PASSWORD).await;
    check(created.expect_status(201), 3, 2, HOUR);
    let exists = client.register(&email, PASSWORD).await;
    check(exists.expect_error(400, "user_exists"), 3, 1, HOUR);
    let empty = client.post("/auth/register", &json!({})).await;
    check(empty.expect_invalid(&["email", "password"]), 3, 0, HOUR);

    let logged_in = client.try_log_in(&email, PASSWORD).await;
    check(logged_in.expect_status(200), 5, 4, QUARTER_HOUR);
    let unknown = log_in(&client).await;
    let unknown = unknown.expect_error(401, "invalid_credentials");
    check(unknown, 5, 3, QUARTER_HOUR);
    let array = client.post("/auth/login", &json!([])).await;
    check(array.expect_invalid(&["body"]), 5, 2, QUARTER_HOUR);
    let request = client.request(Method::POST, "/auth/login");
    let text = request.body("text/plain", "x").send().await;
    let text = text.expect_error(415, "unsupported_media_type");
    check(text, 5, 1, QUARTER_HOUR);
    let request = client.request(Method::POST, "/auth/login");
    let large = request.body("application/json", " ".repeat(70_000));
    let large = large.send().await.expect_error(413, "payload_too_large");
    check(large, 5, 0, QUARTER_HOUR);
}

#[apply(e2e_test!)]
async fn reject_the_right_password_as_well(env: &TestEnv) {
    env.without_proxy();
    let user = env.user().await;
    let client = user.anonymous();
    use_up_logins(&client).await;
    let right = client.try_log_in(&user.session().email, PASSWORD).await;
    right.expect_error(429, "rate_limit_exceeded");
}

#[apply(e2e_test!)]
async fn count_each_address_alone(env: &TestEnv) {
    env.without_proxy();
    let client = env.anonymous();
    use_up_logins(&client).await;
    log_in(&client).await.expect_status(429);
    log_in(&client.anonymous()).await.expect_status(401);
}

/// One customer has a /64 network, and so 2^64 addresses to choose from.
#[apply(e2e_test!)]
async fn count_an_ipv6_network_as_one_address(env: &TestEnv) {
    env.without_proxy();
    let network = format!("2001:db8:{:x}:{:x}", fastrand::u16(1..), fastrand::u16(1..));
    let mut client = env.anonymous();
    for host in 1..=5 {
        client.address = format!("{network}::{host}");
        log_in(&client).await.expect_status(401);
    }
    client.address = format!("{network}:ffff:1:2:3");
    log_in(&client).await.expect_status(429);
}

/// A customer may have many /64 networks of one /48. Together they have eight times the attempts.
#[apply(e2e_test!)]
async fn count_an_ipv6_site_more_loosely(env: &TestEnv) {
    env.without_proxy();
    let site = format!("2001:db8:{:x}", fastrand::u16(1..));
    let mut client = env.anonymous();
    for network in 1..=40 {
        client.address = format!("{site}:{network:x}::1");
        log_in(&client).await.expect_status(401);
    }
    client.address = format!("{site}:ffff::1");
    expect_limited(log_in(&client).await, 40, QUARTER_HOUR);
}

/// The trusted proxy appends to what the client has sent, whatever that is.
#[apply(e2e_test!)]
async fn count_the_same_address_for_any_forged_header(env: &TestEnv) {
    env.without_proxy();
    let client = env.anonymous();
    let forged: [&[u8]; 5] = [
        b"",
        b"1.2.3.4, ",
        b"\xc3\xa9, ",
        b",,unknown,",
        b"\xe2\x82\xac,",
    ];
    for prefix in forged {
        let header = [prefix, client.address.as_bytes()].concat();
        let request = client.request(Method::POST, "/auth/login");
        let request = request
            .without("x-forwarded-for")
            .header("x-forwarded-for", header);
        let response = request.json(&new_credentials()).send().await;
        response.expect_status(401);
    }
    log_in(&client).await.expect_status(429);
}

#[apply(e2e_test!)]
async fn count_only_the_address_that_the_trusted_proxy_appended(env: &TestEnv) {
    env.without_proxy();
    let mut client = env.anonymous();
    let address = client.address.clone();
    for forged in 1..=5 {
        client.address = format!("1.2.3.{forged}, {address}");
        log_in(&client).await.expect_status(401);
    }
    client.address = format!("1.2.3.6,{address}");
    log_in(&client).await.expect_status(429);
    // Two headers of this name form one list.
    let request = client.request(Method::POST, "/auth/login");
    let request = request.from("1.2.3.7").header("x-forwarded-for", &address);
    let response = request.json(&new_credentials()).send().await;
    response.expect_status(429);
    // Some proxies append the port.
    client.address = format!("{address}:4711");
    log_in(&client).await.expect_status(429);
}

/// The second instance trusts no proxy. Only the peer's address counts, which is the same for all clients here.
#[apply(e2e_test!)]
async fn ignore_forged_address_headers_without_a_trusted_proxy(env: &TestEnv) {
    let client = env.second_instance().await.anonymous();
    let mut statuses = Vec::new();
    for forged in 1..=6 {
        let address = format!("9.9.9.{forged}");
        let request = client.request(Method::POST, "/auth/register");
        let response = request
            .from(&address)
            .header("spin-client-addr", format!("{address}:80"))
            .header("x-real-ip", &address)
            .header("forwarded", format!("for={address}"))
            .json(&new_credentials())
            .send()
            .await;
        statuses.push(response.status);
    }
    assert_eq!(statuses, [201, 201, 201, 429, 429, 429]);
}

#[apply(e2e_test!)]
async fn are_shared_by_all_instances(env: &TestEnv) {
    let mut here = env.anonymous();
    here.address = "127.0.0.1".to_owned();
    let there = env.second_instance().await.anonymous();
    for _ in 0..2 {
        log_in(&here).await.expect_status(401);
        log_in(&there).await.expect_status(401);
    }
    log_in(&here).await.expect_status(401);
    log_in(&there).await.expect_status(429);
    log_in(&here).await.expect_status(429);
}

#[apply(e2e_test!)]
async fn can_be_switched_off(env: &TestEnv) {
    let client = env.misbehaving_model().await.anonymous();
    for _ in 0..5 {
        let response = register(&client).await.expect_status(201);
        assert_eq!(response.header("x-ratelimit-limit"), None);
    }
}

#[apply(e2e_test!)]
async fn allow_requests_again_after_the_window(env: &TestEnv) {
    // Long enough for three logins on a busy machine, as each hashes a password.
    let instance = env.start_instance(&[("login_limit", "2/4s")]).await;
    let client = instance.anonymous();
    for _ in 0..2 {
        log_in(&client).await.expect_status(401);
    }
    expect_limited(log_in(&client).await, 2, 4);
    tokio::time::sleep(Duration::from_millis(4100)).await;
    log_in(&client).await.expect_status(401);
}

#[apply(e2e_test!)]
async fn do_not_apply_to_other_routes(env: &TestEnv) {
    let user = env.user().await;
    for _ in 0..20 {
        for response in [user.get("/auth/me").await, user.refresh().await] {
            let response = response.expect_status(200);
            assert_eq!(response.header("x-ratelimit-limit"), None);
        }
    }
}
