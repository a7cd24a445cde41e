//! `POST /auth/register` and `POST /auth/login`.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::client::{Answer, Caller, PASSWORD, Service, fresh_email};
use crate::stage::Stage;

tests![
    register_answers_with_the_account,
    register_trims_and_lower_cases_the_email,
    register_refuses_what_is_no_email,
    register_takes_an_email_of_120_characters_and_no_longer,
    register_refuses_weak_passwords,
    register_takes_every_special_character_of_the_contract,
    register_takes_a_password_of_128_characters_and_no_longer,
    register_names_all_fields_at_once,
    register_knows_an_account_in_any_spelling,
    registering_one_email_20_times_at_once_makes_one_account,
    login_answers_with_tokens_and_the_account,
    login_takes_the_email_in_any_spelling,
    login_compares_passwords_to_the_last_character,
    login_never_trims_a_password,
    login_tells_unknown_emails_and_wrong_passwords_apart_by_nothing,
    login_takes_as_long_for_an_unknown_email_as_for_a_wrong_password,
    passwords_are_kept_as_argon2id,
];

/// Registers from an address of its own.
async fn register(service: &Service, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    service.anonymous().post("/auth/register", &body).await
}

/// Logs in from an address of its own.
async fn log_in(service: &Service, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    service.anonymous().post("/auth/login", &body).await
}

async fn register_answers_with_the_account(stage: &Stage) {
    let email = fresh_email();
    let before = chrono::Utc::now() - chrono::Duration::seconds(2);
    let answer = register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    let body = answer.json();
    assert_eq!(body["user"]["email"], email);
    assert_eq!(body["user"]["created_at"], body["user"]["updated_at"]);
    let created = time(&body["user"]["created_at"]);
    assert!(
        before < created && created < chrono::Utc::now() + chrono::Duration::seconds(2),
        "{created}"
    );
    assert!(!answer.shown().contains(PASSWORD) && !answer.shown().contains("argon2"));
}

/// Reads a time of the contract.
fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value
        .as_str()
        .expect("a time is a string")
        .parse()
        .expect("and RFC 3339")
}

async fn register_trims_and_lower_cases_the_email(stage: &Stage) {
    let email = fresh_email();
    let written = format!(" \t{} \n", email.to_uppercase());
    let answer = register(&stage.shared.service, &written, PASSWORD)
        .await
        .expect(201);
    assert_eq!(answer.json()["user"]["email"], email);
}

async fn register_refuses_what_is_no_email(stage: &Stage) {
    let bad = [
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
        "ann\u{0}@example.com",
        "Ann <ann@example.com>",
        "ann@example.com,bob@example.com",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann@-example.com",
        "ann@localhost",
    ];
    for email in bad {
        register(&stage.shared.service, email, PASSWORD)
            .await
            .expect_invalid("email");
    }
}

async fn register_takes_an_email_of_120_characters_and_no_longer(stage: &Stage) {
    let beginning = fresh_email();
    let local = beginning.split('@').next().expect("a part before the @");
    let domain = format!(
        "{}.{}",
        "d".repeat(50),
        "e".repeat(120 - local.len() - 1 - 51 - 4)
    );
    let email = format!("{local}@{domain}.com");
    assert_eq!(email.chars().count(), 120);
    let longer = format!("{local}@{domain}e.com");
    register(&stage.shared.service, &longer, PASSWORD)
        .await
        .expect_invalid("email");
    register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    log_in(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(200);
}

async fn register_refuses_weak_passwords(stage: &Stage) {
    let email = fresh_email();
    for password in [
        "",
        "Aa1!567",
        "passw0rd!",
        "PASSW0RD!",
        "Password!",
        "Passw0rdd",
        "Passw0rd ",
        "Passw0rdé",
    ] {
        register(&stage.shared.service, &email, password)
            .await
            .expect_invalid("password");
    }
    log_in(&stage.shared.service, &email, PASSWORD)
        .await
        .expect_error(401, "invalid_credentials");
    register(&stage.shared.service, &email, "Aa1!5678")
        .await
        .expect(201);
}

async fn register_takes_every_special_character_of_the_contract(stage: &Stage) {
    let specials = "!@#$%^&*()_+-=[]{}|;:,.<>?\"'/\\~`";
    assert_eq!(specials.chars().count(), 32);
    let service = &stage.shared.service;
    for special in specials.chars() {
        register(service, &fresh_email(), &format!("Passw0rd{special}"))
            .await
            .expect(201);
    }
}

async fn register_takes_a_password_of_128_characters_and_no_longer(stage: &Stage) {
    let email = fresh_email();
    let password = format!("Aa1!{}", "ä".repeat(124));
    register(&stage.shared.service, &email, &format!("{password}ä"))
        .await
        .expect_invalid("password");
    register(&stage.shared.service, &email, &password)
        .await
        .expect(201);
    log_in(&stage.shared.service, &email, &password)
        .await
        .expect(200);
}

async fn register_names_all_fields_at_once(stage: &Stage) {
    let answer = stage
        .shared
        .service
        .anonymous()
        .post("/auth/register", &json!({}))
        .await;
    answer.expect_invalid("email").expect_invalid("password");
    let answer = register(&stage.shared.service, "nobody", "weak").await;
    let answer = answer.expect_invalid("email").expect_invalid("password");
    let reasons = answer.json()["details"]["password"]
        .as_array()
        .map(Vec::len);
    assert_eq!(
        reasons,
        Some(4),
        "too short, no upper case, no digit, no special: {}",
        answer.shown()
    );
}

async fn register_knows_an_account_in_any_spelling(stage: &Stage) {
    let email = fresh_email();
    register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    for spelling in [email.clone(), email.to_uppercase(), format!("  {email}")] {
        let answer = register(&stage.shared.service, &spelling, "Other1!password").await;
        answer.expect_error(400, "user_exists");
    }
    log_in(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(200);
}

async fn registering_one_email_20_times_at_once_makes_one_account(stage: &Stage) {
    let email = fresh_email();
    let answers =
        join_all((0..20).map(|_| register(&stage.shared.service, &email, PASSWORD))).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    let others: Vec<String> = refused.iter().map(Answer::code).collect();
    assert_eq!(made.len(), 1, "the others: {others:?}");
    for answer in refused {
        answer.expect_error(400, "user_exists");
    }
    let database = stage.shared.database().await;
    let row = database
        .query_one("select count(*) from users where email = $1", &[&email])
        .await
        .expect("counts");
    assert_eq!(row.get::<_, i64>(0), 1);
}

async fn login_answers_with_tokens_and_the_account(stage: &Stage) {
    let email = fresh_email();
    let registered = register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201)
        .json();
    let body = log_in(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(200)
        .json();
    assert_eq!(body["user"], registered["user"]);
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_ne!(body["access_token"], body["refresh_token"]);
    let again = log_in(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(200)
        .json();
    assert_ne!(
        again["access_token"], body["access_token"],
        "each login has tokens of its own"
    );
}

async fn login_takes_the_email_in_any_spelling(stage: &Stage) {
    let email = fresh_email();
    register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    log_in(
        &stage.shared.service,
        &format!("  {} ", email.to_uppercase()),
        PASSWORD,
    )
    .await
    .expect(200);
}

/// bcrypt, which the replaced service used, reads 72 bytes and no further.
async fn login_compares_passwords_to_the_last_character(stage: &Stage) {
    let email = fresh_email();
    let beginning = format!("Aa1!{}", "x".repeat(123));
    register(&stage.shared.service, &email, &format!("{beginning}y"))
        .await
        .expect(201);
    for wrong in [
        format!("{beginning}z"),
        beginning.clone(),
        format!("{beginning}yy"),
    ] {
        log_in(&stage.shared.service, &email, &wrong)
            .await
            .expect_error(401, "invalid_credentials");
    }
    log_in(&stage.shared.service, &email, &format!("{beginning}y"))
        .await
        .expect(200);
}

async fn login_never_trims_a_password(stage: &Stage) {
    let email = fresh_email();
    let password = " Passw0rd!\t";
    register(&stage.shared.service, &email, password)
        .await
        .expect(201);
    for wrong in ["Passw0rd!", " Passw0rd!", "Passw0rd!\t"] {
        log_in(&stage.shared.service, &email, wrong)
            .await
            .expect_error(401, "invalid_credentials");
    }
    log_in(&stage.shared.service, &email, password)
        .await
        .expect(200);
}

async fn login_tells_unknown_emails_and_wrong_passwords_apart_by_nothing(stage: &Stage) {
    let email = fresh_email();
    register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    let wrong = log_in(&stage.shared.service, &email, "Wr0ng!password").await;
    let unknown = log_in(&stage.shared.service, &fresh_email(), PASSWORD).await;
    let wrong = wrong.expect_error(401, "invalid_credentials");
    let unknown = unknown.expect_error(401, "invalid_credentials");
    assert_eq!(wrong.body, unknown.body);
    let names = |answer: &Answer| {
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&wrong), names(&unknown));
}

/// Medians of calls taken in turns, so that whatever else the machine does weighs on both.
async fn login_takes_as_long_for_an_unknown_email_as_for_a_wrong_password(stage: &Stage) {
    const TRIES: usize = 21;
    let service = &stage.shared.service;
    let email = fresh_email();
    register(service, &email, PASSWORD).await.expect(201);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        known.push(time_of_login(&service.anonymous(), &email).await);
        unknown.push(time_of_login(&service.anonymous(), &fresh_email()).await);
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[TRIES / 2].as_secs_f64()
    };
    let (known, unknown) = (median(known), median(unknown));
    // Without hashing, an unknown email would be answered ten times as fast.
    assert!(
        (0.6..1.67).contains(&(unknown / known)),
        "unknown {unknown} s, known {known} s"
    );
}

async fn time_of_login(caller: &Caller, email: &str) -> Duration {
    let body = json!({"email": email, "password": "Wr0ng!password"});
    let start = Instant::now();
    caller.post("/auth/login", &body).await.expect(401);
    start.elapsed()
}

async fn passwords_are_kept_as_argon2id(stage: &Stage) {
    let email = fresh_email();
    register(&stage.shared.service, &email, PASSWORD)
        .await
        .expect(201);
    let database = stage.shared.database().await;
    let row = database
        .query_one(
            "select password_hash from users where email = $1",
            &[&email],
        )
        .await;
    let hash: String = row.expect("the user is there").get(0);
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
}
