//! Accounts of the replaced service, whose passwords are hashed with bcrypt.

use std::time::{Duration, Instant};

use futures::future::join_all;
use macro_rules_attribute::apply;

use crate::support::client::{Client, PASSWORD};
use crate::support::env::TestEnv;
use crate::support::instance::Instance;
use crate::support::registry::e2e_test;
use crate::support::unique::unique_email;

/// bcrypt's hash of [`PASSWORD`], with the cost of the replaced service.
const BCRYPT_HASH: &str = "$2b$12$abcdefghijklmnopqrstuuVnilgEP4HmrELfhxdikttFyCImGISEe";

/// bcrypt's hash of `Aa1!` 18 times, which is as long as bcrypt compares: 72 bytes.
const LONG_BCRYPT_HASH: &str = "$2b$10$Skho3JeFiQcYLF2OJ0Nh5O.Dc4y89ySp7I6mXwljv/55/iZHIJlWS";

const WRONG_PASSWORD: &str = "Wr0ng!password";

const HASHES: &str =
    "select array[password_hash, legacy_password_hash] from users where email = $1";

/// Registers a user and gives it a hash of the replaced service.
async fn legacy_user(instance: &Instance, hash: &str) -> String {
    let email = unique_email();
    let registered = instance.anonymous().register(&email, PASSWORD).await;
    registered.expect_status(201);
    let statement = "update users set password_hash = $2 where email = $1";
    let database = instance.database().await;
    assert_eq!(database.execute(statement, &[&email, &hash]).await, 1);
    email
}

async fn hashes(instance: &Instance, email: &str) -> Vec<Option<String>> {
    let database = instance.database().await;
    database.value(HASHES, &[&email]).await
}

async fn time_of_refused_login(client: &Client, email: &str, password: &str) -> Duration {
    let client = client.anonymous();
    let start = Instant::now();
    let response = client.try_log_in(email, password).await;
    response.expect_error(401, "invalid_credentials");
    start.elapsed()
}

/// The first of them replaces the hash that the others have read.
#[apply(e2e_test!)]
async fn allow_first_logins_at_the_same_time(env: &TestEnv) {
    let instance = env.start_instance(&[("password_hash_slots", "4")]).await;
    let email = legacy_user(&instance, BCRYPT_HASH).await;
    let client = instance.anonymous();
    // Each asserts its success.
    join_all((0..4).map(|_| client.log_in(&email, PASSWORD))).await;
}

#[apply(e2e_test!)]
async fn are_hashed_anew_at_login_and_keep_their_hash(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let email = legacy_user(&instance, BCRYPT_HASH).await;
    let wrong = instance.anonymous().try_log_in(&email, "Passw0rd?").await;
    wrong.expect_error(401, "invalid_credentials");
    instance.anonymous().log_in(&email, PASSWORD).await;
    let hashes = hashes(&instance, &email).await;
    let is_argon2 =
        |hash: &Option<String>| hash.as_deref().map(|hash| hash.starts_with("$argon2id$"));
    assert_eq!(is_argon2(&hashes[0]), Some(true));
    assert_eq!(hashes[1].as_deref(), Some(BCRYPT_HASH));
    instance.anonymous().log_in(&email, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn lose_the_old_hash_with_a_new_password(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let email = legacy_user(&instance, BCRYPT_HASH).await;
    let user = instance.anonymous().log_in(&email, PASSWORD).await;
    let body = serde_json::json!({
        "current_password": PASSWORD,
        "new_password": "Other1!password",
    });
    user.put("/auth/password", &body).await.expect_status(200);
    assert_eq!(hashes(&instance, &email).await[1], None);
}

/// A new hash of a password with a wrong end would lock its user out.
#[apply(e2e_test!)]
async fn are_not_hashed_anew_beyond_72_bytes(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let email = legacy_user(&instance, LONG_BCRYPT_HASH).await;
    let right = "Aa1!".repeat(18);
    let longer = format!("{right} and more");
    instance.anonymous().log_in(&email, &longer).await;
    let kept = [Some(LONG_BCRYPT_HASH.to_owned()), None];
    assert_eq!(hashes(&instance, &email).await, kept);
    instance.anonymous().log_in(&email, &right).await;
    let kept = hashes(&instance, &email).await;
    assert_eq!(kept[1].as_deref(), Some(LONG_BCRYPT_HASH));
}

/// Compares the fastest of several requests, because other processes only make a request slower.
#[apply(e2e_test!)]
async fn cannot_be_found_by_the_time_of_a_wrong_password(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    let legacy = legacy_user(&instance, BCRYPT_HASH).await;
    let current = unique_email();
    let client = instance.anonymous();
    let registered = client.register(&current, PASSWORD).await;
    registered.expect_status(201);
    let mut fastest = [Duration::MAX; 3];
    let mut ratios = [f64::NAN; 2];
    for round in 0..40 {
        let emails = [legacy.clone(), current.clone(), unique_email()];
        for (email, fastest) in emails.iter().zip(&mut fastest) {
            let time = time_of_refused_login(&client, email, WRONG_PASSWORD).await;
            *fastest = time.min(*fastest);
        }
        let [legacy, current, unknown] = fastest.map(|time| time.as_secs_f64());
        ratios = [legacy / current, legacy / unknown];
        // It was 5 when only accounts with a bcrypt hash paid for bcrypt.
        if round >= 3 && ratios.iter().all(|ratio| (0.7..1.4).contains(ratio)) {
            return;
        }
    }
    panic!("{ratios:?}");
}

/// As above, for the right and a wrong password of an account that wrong ones have delayed.
#[apply(e2e_test!)]
async fn do_not_show_the_right_password_of_a_delayed_account_by_its_time(env: &TestEnv) {
    let instance = env.start_instance(&[]).await;
    legacy_user(&instance, BCRYPT_HASH).await;
    let email = unique_email();
    let client = instance.anonymous();
    let registered = client.register(&email, PASSWORD).await;
    registered.expect_status(201);
    for _ in 0..5 {
        time_of_refused_login(&client, &email, WRONG_PASSWORD).await;
    }
    let prolong = "update failed_logins set delayed_until = delayed_until + interval '10 minutes'";
    let delayed = instance.database().await.execute(prolong, &[]).await;
    assert_eq!(delayed, 1);
    let mut fastest = [Duration::MAX; 2];
    let mut ratio = f64::NAN;
    for round in 0..40 {
        for (password, fastest) in [PASSWORD, WRONG_PASSWORD].iter().zip(&mut fastest) {
            let time = time_of_refused_login(&client, &email, password).await;
            *fastest = time.min(*fastest);
        }
        let [right, wrong] = fastest.map(|time| time.as_secs_f64());
        ratio = right / wrong;
        // It was 0.2 when the right password skipped bcrypt.
        if round >= 3 && (0.7..1.4).contains(&ratio) {
            return;
        }
    }
    panic!("{ratio}");
}
