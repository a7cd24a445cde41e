//! `POST /auth/login`.

use std::time::{Duration, Instant};

use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::PASSWORD;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;
use crate::support::unique::unique_email;

const WRONG_PASSWORD: &str = "Wr0ng!password";

/// Registers from a new address and returns the email.
async fn register(env: &TestEnv, password: &str) -> String {
    let email = unique_email();
    let response = env.anonymous().register(&email, password).await;
    response.expect_status(201);
    email
}

/// Logs in from a new address.
async fn log_in(env: &TestEnv, email: &str, password: &str) -> Response {
    env.anonymous().try_log_in(email, password).await
}

#[apply(e2e_test!)]
async fn returns_tokens_and_the_account(env: &TestEnv) {
    let email = unique_email();
    let registered = env.anonymous().register(&email, PASSWORD).await;
    let registered = registered.expect_status(201).json();
    let first = log_in(env, &email, PASSWORD)
        .await
        .expect_status(200)
        .json();
    assert_eq!(first["user"], registered["user"]);
    assert_eq!(first["token_type"], "Bearer");
    assert_eq!(first["expires_in"], 900);
    assert_ne!(first["access_token"], first["refresh_token"]);
    let second = log_in(env, &email, PASSWORD)
        .await
        .expect_status(200)
        .json();
    for token in ["access_token", "refresh_token"] {
        assert_ne!(second[token], first[token], "each login has its own tokens");
    }
}

#[apply(e2e_test!)]
async fn trims_and_lower_cases_the_email(env: &TestEnv) {
    let email = register(env, PASSWORD).await;
    let spelling = format!("  {} ", email.to_uppercase());
    let response = log_in(env, &spelling, PASSWORD).await.expect_status(200);
    assert_eq!(response.json()["user"]["email"], email);
}

/// bcrypt, which the replaced service used, ignores everything after 72 bytes.
#[apply(e2e_test!)]
async fn compares_every_character_of_the_password(env: &TestEnv) {
    let start = format!("Aa1!{}", "x".repeat(123));
    let right = format!("{start}y");
    let email = register(env, &right).await;
    for wrong in [format!("{start}z"), start.clone(), format!("{start}yy")] {
        let response = log_in(env, &email, &wrong).await;
        response.expect_error(401, "invalid_credentials");
    }
    log_in(env, &email, &right).await.expect_status(200);
}

#[apply(e2e_test!)]
async fn does_not_trim_the_password(env: &TestEnv) {
    let right = " Passw0rd!\t";
    let email = register(env, right).await;
    for wrong in ["Passw0rd!", " Passw0rd!", "Passw0rd!\t"] {
        let response = log_in(env, &email, wrong).await;
        response.expect_error(401, "invalid_credentials");
    }
    log_in(env, &email, right).await.expect_status(200);
}

#[apply(e2e_test!)]
async fn responds_to_an_unknown_email_as_to_a_wrong_password(env: &TestEnv) {
    let email = register(env, PASSWORD).await;
    let wrong = log_in(env, &email, WRONG_PASSWORD).await;
    let wrong = wrong.expect_error(401, "invalid_credentials");
    let unknown = log_in(env, &unique_email(), PASSWORD).await;
    let unknown = unknown.expect_error(401, "invalid_credentials");
    assert_eq!(wrong.body, unknown.body);
    let names = |response: &Response| {
        let names = response.headers.keys().map(ToString::to_string);
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    assert_eq!(names(&wrong), names(&unknown));
}

/// Compares medians of alternating requests, so that other load on the machine affects both alike.
#[apply(e2e_test!)]
async fn takes_as_long_for_an_unknown_email_as_for_a_wrong_password(env: &TestEnv) {
    const REQUESTS: usize = 21;
    let email = register(env, PASSWORD).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..REQUESTS {
        known.push(time_of_login(env, &email).await);
        unknown.push(time_of_login(env, &unique_email()).await);
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[REQUESTS / 2].as_secs_f64()
    };
    let (known, unknown) = (median(known), median(unknown));
    // Without hashing a password, an unknown email would take a tenth of the time.
    let ratio = unknown / known;
    assert!((0.6..1.67).contains(&ratio), "{unknown} s for {known} s");
}

async fn time_of_login(env: &TestEnv, email: &str) -> Duration {
    let client = env.anonymous();
    let body = json!({"email": email, "password": WRONG_PASSWORD});
    let start = Instant::now();
    let response = client.post("/auth/login", &body).await;
    response.expect_error(401, "invalid_credentials");
    start.elapsed()
}
