//! `POST /auth/register`.

use futures::future::join_all;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::support::client::PASSWORD;
use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::response::Response;
use crate::support::time::assert_just_now;
use crate::support::unique::unique_email;

/// Registers from a new address.
async fn register(env: &TestEnv, email: &str, password: &str) -> Response {
    env.anonymous().register(email, password).await
}

#[apply(e2e_test!)]
async fn returns_the_account(env: &TestEnv) {
    let email = unique_email();
    let response = register(env, &email, PASSWORD).await.expect_status(201);
    let user = response.json()["user"].clone();
    assert_eq!(user["email"], email);
    assert_eq!(user["created_at"], user["updated_at"]);
    assert_just_now(&user["created_at"]);
    assert!(!response.dump().contains(PASSWORD), "{}", response.dump());
    let fields: Vec<_> = user.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["created_at", "email", "id", "updated_at"]);
}

#[apply(e2e_test!)]
async fn trims_and_lower_cases_the_email(env: &TestEnv) {
    let email = unique_email();
    let written = format!(" \t{} \n", email.to_uppercase());
    let response = register(env, &written, PASSWORD).await.expect_status(201);
    assert_eq!(response.json()["user"]["email"], email);
}

#[apply(e2e_test!)]
async fn rejects_an_invalid_email(env: &TestEnv) {
    let invalid = [
        "",
        " ",
        "ann",
        "ann@",
        "@example.com",
        "a b@example.com",
        "ann@exa mple.com",
        "ann@@example.com",
        "ann@example..com",
        ".ann@example.com",
        "ann@example.com\0",
        "ann\0@example.com",
        "Ann <ann@example.com>",
        "ann@example.com,bob@example.com",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann@-example.com",
        "ann@localhost",
    ];
    for email in invalid {
        register(env, email, PASSWORD)
            .await
            .expect_invalid(&["email"]);
    }
}

#[apply(e2e_test!)]
async fn accepts_an_email_of_at_most_120_characters(env: &TestEnv) {
    let start = unique_email();
    let (local, _) = start.split_once('@').expect("an @");
    let rest = 120 - local.len() - "@".len() - "d".len() * 50 - "..com".len();
    let domain = format!("{}.{}", "d".repeat(50), "e".repeat(rest));
    let longest = format!("{local}@{domain}.com");
    assert_eq!(longest.chars().count(), 120);
    let too_long = format!("{local}@{domain}e.com");
    register(env, &too_long, PASSWORD)
        .await
        .expect_invalid(&["email"]);
    register(env, &longest, PASSWORD).await.expect_status(201);
    env.anonymous().log_in(&longest, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn rejects_a_weak_password(env: &TestEnv) {
    let email = unique_email();
    let weak = [
        "",
        "Aa1!567",
        "passw0rd!",
        "PASSW0RD!",
        "Password!",
        "Passw0rdd",
        "Passw0rd ",
        "Passw0rdé",
    ];
    for password in weak {
        register(env, &email, password)
            .await
            .expect_invalid(&["password"]);
    }
    let login = env.anonymous().try_log_in(&email, PASSWORD).await;
    login.expect_error(401, "invalid_credentials");
    register(env, &email, "Aa1!5678").await.expect_status(201);
}

#[apply(e2e_test!)]
async fn accepts_every_special_character_of_the_contract(env: &TestEnv) {
    let special_characters = "!@#$%^&*()_+-=[]{}|;:,.<>?\"'/\\~`";
    assert_eq!(special_characters.chars().count(), 32);
    for character in special_characters.chars() {
        let password = format!("Passw0rd{character}");
        register(env, &unique_email(), &password)
            .await
            .expect_status(201);
    }
}

#[apply(e2e_test!)]
async fn accepts_a_password_of_at_most_128_characters(env: &TestEnv) {
    let email = unique_email();
    let longest = format!("Aa1!{}", "ä".repeat(124));
    let too_long = format!("{longest}ä");
    register(env, &email, &too_long)
        .await
        .expect_invalid(&["password"]);
    register(env, &email, &longest).await.expect_status(201);
    env.anonymous().log_in(&email, &longest).await;
}

#[apply(e2e_test!)]
async fn reports_all_invalid_fields_at_once(env: &TestEnv) {
    let response = env.anonymous().post("/auth/register", &json!({})).await;
    response.expect_invalid(&["email", "password"]);
    let response = register(env, "nobody", "weak").await;
    let body = response.expect_invalid(&["email", "password"]).json();
    // Too short, no upper-case letter, no digit, no special character.
    let reasons = body["details"]["password"].as_array().map(Vec::len);
    assert_eq!(reasons, Some(4), "{body}");
}

#[apply(e2e_test!)]
async fn rejects_an_email_that_is_registered_in_another_spelling(env: &TestEnv) {
    let email = unique_email();
    register(env, &email, PASSWORD).await.expect_status(201);
    for spelling in [email.clone(), email.to_uppercase(), format!("  {email}")] {
        let response = register(env, &spelling, "Other1!password").await;
        response.expect_error(400, "user_exists");
    }
    env.anonymous().log_in(&email, PASSWORD).await;
}

#[apply(e2e_test!)]
async fn creates_one_account_for_20_concurrent_registrations(env: &TestEnv) {
    let email = unique_email();
    let registrations = (0..20).map(|_| register(env, &email, PASSWORD));
    let responses = join_all(registrations).await;
    let mut outcomes: Vec<(u16, String)> = responses
        .iter()
        .map(|response| (response.status, response.error_code()))
        .collect();
    outcomes.sort();
    let mut expected = vec![(400, "user_exists".to_owned()); 20];
    expected[0] = (201, String::new());
    assert_eq!(outcomes, expected);
    let database = env.shared.database().await;
    let count = "select count(*) from users where email = $1";
    assert_eq!(database.value::<i64>(count, &[&email]).await, 1);
}

#[apply(e2e_test!)]
async fn stores_the_password_as_argon2id(env: &TestEnv) {
    let user = env.user().await;
    let database = env.shared.database().await;
    let statement = "select password_hash from users where id = $1";
    let hash: String = database.value(statement, &[&user.session().user_id]).await;
    let parameters = hash.rsplitn(3, '$').last();
    assert_eq!(parameters, Some("$argon2id$v=19$m=19456,t=2,p=1"), "{hash}");
}
