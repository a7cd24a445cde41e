//! Wrong passwords for one account, from many addresses.

use std::time::{Duration, Instant};

use macro_rules_attribute::apply;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_email;

const WRONG_PASSWORD: &str = "Wr0ng!password";

/// Returns an email that is registered, and whose user has never logged in.
async fn registered_email(env: &TestEnv) -> String {
    let email = unique_email();
    let registered = env.anonymous().register(&email, PASSWORD).await;
    registered.expect_status(201);
    email
}

/// Tries a wrong password, from a new address each time.
async fn guess(client: &Client, email: &str, times: usize) {
    for _ in 0..times {
        let response = client.anonymous().try_log_in(email, WRONG_PASSWORD).await;
        response.expect_error(401, "invalid_credentials");
    }
}

#[apply(e2e_test!)]
async fn delay_the_account_from_the_fifth_one_on(env: &TestEnv) {
    let email = registered_email(env).await;
    let client = env.anonymous();
    guess(&client, &email, 4).await;
    client.log_in(&email, PASSWORD).await.log_out().await;
    guess(&client, &email, 1).await;
    let start = Instant::now();
    let wrong = client.anonymous().try_log_in(&email, WRONG_PASSWORD).await;
    let right = client.anonymous().try_log_in(&email, PASSWORD).await;
    let right = right.expect_error(401, "invalid_credentials");
    assert_eq!(right.body, wrong.body);
    tokio::time::sleep(Duration::from_millis(5100).saturating_sub(start.elapsed())).await;
    client.log_in(&email, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn delay_the_account_longer_each_time_and_at_most_until_the_window_ends(env: &TestEnv) {
    // With a database of its own, in which no other test counts failures.
    let instance = env.start_instance(&[]).await;
    let email = unique_email();
    let client = instance.anonymous();
    let database = instance.database().await;
    guess(&client, &email, 5).await;
    let account: String = database
        .value("select account from failed_logins", &[])
        .await;
    let mut delays = Vec::new();
    for _ in 0..10 {
        let statement =
            "select extract(epoch from delayed_until - now() at time zone 'utc')::float8,
            extract(epoch from window_ends_at - now() at time zone 'utc')::float8
            from failed_logins where account = $1";
        let rows = database.rows(statement, &[&account]).await;
        let (delay, window): (f64, f64) = (rows[0].get(0), rows[0].get(1));
        assert!(delay <= window && window <= 900.0, "{delay} of {window}");
        delays.push(delay);
        let end =
            "update failed_logins set delayed_until = now() at time zone 'utc' where account = $1";
        assert_eq!(database.execute(end, &[&account]).await, 1);
        guess(&client, &email, 1).await;
    }
    let doubled = delays.windows(2).take(6);
    assert!(
        doubled.clone().all(|pair| pair[1] > 1.5 * pair[0]),
        "{delays:?}"
    );
}

#[apply(e2e_test!)]
async fn do_not_prolong_a_delay(env: &TestEnv) {
    env.without_proxy();
    let email = registered_email(env).await;
    let client = env.anonymous();
    guess(&client, &email, 5).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        guess(&client, &email, 1).await;
    }
    tokio::time::sleep(Duration::from_millis(5100).saturating_sub(start.elapsed())).await;
    client.log_in(&email, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn do_not_delay_a_network_that_has_a_session(env: &TestEnv) {
    env.without_proxy();
    let email = registered_email(env).await;
    let home = env.anonymous();
    home.try_log_in(&email, PASSWORD).await.expect_status(200);
    guess(&home, &email, 5).await;
    let elsewhere = home.anonymous().try_log_in(&email, PASSWORD).await;
    elsewhere.expect_error(401, "invalid_credentials");
    home.try_log_in(&email, PASSWORD).await.expect_status(200);
}

#[apply(e2e_test!)]
async fn are_counted_for_unknown_emails_too(env: &TestEnv) {
    let email = unique_email();
    let client = env.anonymous();
    guess(&client, &email, 5).await;
    let registered = client.register(&email, PASSWORD).await;
    registered.expect_status(201);
    let delayed = client.anonymous().try_log_in(&email, PASSWORD).await;
    delayed.expect_error(401, "invalid_credentials");
}
