//! How often one address may register and log in.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Caller, PASSWORD, fresh_email};
use crate::stage::Stage;

tests![
    of_40_logins_at_once_from_one_address_exactly_5_pass,
    the_fourth_registration_in_an_hour_is_refused,
    every_answer_of_both_routes_tells_what_is_left,
    right_passwords_do_not_help_beyond_the_limit,
    addresses_have_limits_of_their_own,
    an_ipv6_network_is_one_address,
    only_the_address_that_the_trusted_proxy_appended_counts,
    a_forged_peer_address_does_not_help,
    instances_count_together,
    a_window_ends_and_a_limit_can_be_off,
    other_routes_have_no_limit,
];

fn credentials() -> Value {
    json!({"email": fresh_email(), "password": PASSWORD})
}

/// Tries to log in to an account that does not exist.
async fn try_login(caller: &Caller) -> Answer {
    caller.post("/auth/login", &credentials()).await
}

#[track_caller]
fn check_refusal(answer: Answer, limit: i64, window: i64) {
    let answer = answer.expect_error(429, "rate_limit_exceeded");
    assert_eq!(answer.number("x-ratelimit-limit"), limit);
    assert_eq!(answer.number("x-ratelimit-remaining"), 0);
    let wait = answer.number("retry-after");
    assert!((1..=window).contains(&wait), "{}", answer.shown());
    let reset = answer.number("x-ratelimit-reset") - chrono::Utc::now().timestamp();
    assert!(
        (reset - wait).abs() <= 5,
        "reset in {reset} s, retry after {wait} s"
    );
}

async fn of_40_logins_at_once_from_one_address_exactly_5_pass(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let caller = user.anonymous();
    let body = json!({"email": user.login().email, "password": PASSWORD});
    let answers = join_all((0..40).map(|_| caller.post("/auth/login", &body))).await;
    let (passed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status != 429);
    let statuses: Vec<u16> = passed.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200; 5]);
    let mut left: Vec<i64> = passed
        .iter()
        .map(|answer| answer.number("x-ratelimit-remaining"))
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4], "each has its own number");
    for answer in refused {
        check_refusal(answer, 5, 15 * 60);
    }
}

async fn the_fourth_registration_in_an_hour_is_refused(stage: &Stage) {
    let caller = stage.shared.service.anonymous();
    for _ in 0..3 {
        caller
            .post("/auth/register", &credentials())
            .await
            .expect(201);
    }
    let refused = credentials();
    check_refusal(caller.post("/auth/register", &refused).await, 3, 3600);
    let elsewhere = caller.anonymous().post("/auth/register", &refused).await;
    elsewhere.expect(201);
}

async fn every_answer_of_both_routes_tells_what_is_left(stage: &Stage) {
    let caller = stage.shared.service.anonymous();
    let email = fresh_email();
    let good = json!({"email": email, "password": PASSWORD});
    let check = |answer: Answer, limit: i64, left: i64, window: i64| {
        assert_eq!(
            answer.number("x-ratelimit-limit"),
            limit,
            "{}",
            answer.shown()
        );
        assert_eq!(
            answer.number("x-ratelimit-remaining"),
            left,
            "{}",
            answer.shown()
        );
        let reset = answer.number("x-ratelimit-reset") - chrono::Utc::now().timestamp();
        assert!(
            (window - 30..=window + 2).contains(&reset),
            "{}",
            answer.shown()
        );
    };
    check(
        caller.post("/auth/register", &good).await.expect(201),
        3,
        2,
        3600,
    );
    check(
        caller.post("/auth/register", &good).await.expect(400),
        3,
        1,
        3600,
    );
    check(
        caller.post("/auth/register", &json!({})).await.expect(400),
        3,
        0,
        3600,
    );
    check(
        caller.post("/auth/login", &good).await.expect(200),
        5,
        4,
        900,
    );
    check(try_login(&caller).await.expect(401), 5, 3, 900);
    check(
        caller.post("/auth/login", &json!([])).await.expect(400),
        5,
        2,
        900,
    );
    let text = caller
        .call(Method::POST, "/auth/login")
        .body("text/plain", "x")
        .send()
        .await;
    check(text.expect(415), 5, 1, 900);
    let large = caller
        .call(Method::POST, "/auth/login")
        .body("application/json", " ".repeat(70_000));
    check(large.send().await.expect(413), 5, 0, 900);
}

async fn right_passwords_do_not_help_beyond_the_limit(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let caller = user.anonymous();
    for _ in 0..5 {
        try_login(&caller).await.expect(401);
    }
    let right = json!({"email": user.login().email, "password": PASSWORD});
    caller
        .post("/auth/login", &right)
        .await
        .expect_error(429, "rate_limit_exceeded");
}

async fn addresses_have_limits_of_their_own(stage: &Stage) {
    let caller = stage.shared.service.anonymous();
    for _ in 0..5 {
        try_login(&caller).await.expect(401);
    }
    try_login(&caller).await.expect(429);
    try_login(&caller.anonymous()).await.expect(401);
}

/// Who has an IPv6 network has 2^64 addresses to choose from.
async fn an_ipv6_network_is_one_address(stage: &Stage) {
    let network = format!("2001:db8:{:x}:{:x}", fastrand::u16(1..), fastrand::u16(1..));
    let mut caller = stage.shared.service.anonymous();
    for host in 1..=5 {
        caller.address = format!("{network}::{host}");
        try_login(&caller).await.expect(401);
    }
    caller.address = format!("{network}:ffff:1:2:3");
    try_login(&caller).await.expect(429);
}

async fn only_the_address_that_the_trusted_proxy_appended_counts(stage: &Stage) {
    let mut caller = stage.shared.service.anonymous();
    let address = caller.address.clone();
    for forged in 1..=5 {
        caller.address = format!("1.2.3.{forged}, {address}");
        try_login(&caller).await.expect(401);
    }
    caller.address = format!("1.2.3.6,{address}");
    try_login(&caller).await.expect(429);
    // Two lines of this header are one list.
    let lines = caller
        .call(Method::POST, "/auth/login")
        .without("x-forwarded-for");
    let lines = lines
        .header("x-forwarded-for", "1.2.3.7")
        .header("x-forwarded-for", &address);
    lines.json(&credentials()).send().await.expect(429);
    // The port that some proxies append does not make another client.
    caller.address = format!("{address}:4711");
    try_login(&caller).await.expect(429);
}

/// The second instance trusts no proxy: the peer's address counts, which is the same for all here.
async fn a_forged_peer_address_does_not_help(stage: &Stage) {
    let caller = stage.second().await.service.anonymous();
    let mut statuses = Vec::new();
    for forged in 1..=6 {
        let address = format!("9.9.9.{forged}");
        let call = caller
            .call(Method::POST, "/auth/register")
            .without("x-forwarded-for");
        let call = call
            .header("spin-client-addr", format!("{address}:80"))
            .header("x-forwarded-for", &address);
        let call = call
            .header("x-real-ip", &address)
            .header("forwarded", format!("for={address}"));
        statuses.push(call.json(&credentials()).send().await.status);
    }
    assert_eq!(statuses, [201, 201, 201, 429, 429, 429]);
}

async fn instances_count_together(stage: &Stage) {
    let mut here = stage.shared.service.anonymous();
    here.address = "127.0.0.1".to_owned();
    let there = stage.second().await.service.anonymous();
    for _ in 0..2 {
        try_login(&here).await.expect(401);
        try_login(&there).await.expect(401);
    }
    try_login(&here).await.expect(401);
    try_login(&there).await.expect(429);
    try_login(&here).await.expect(429);
}

async fn a_window_ends_and_a_limit_can_be_off(stage: &Stage) {
    let caller = stage.moody().await.service.anonymous();
    for _ in 0..5 {
        let answer = caller
            .post("/auth/register", &credentials())
            .await
            .expect(201);
        assert_eq!(
            answer.header("x-ratelimit-limit"),
            None,
            "there is none to tell of"
        );
    }
    // Two in two seconds: the third is refused, unless the window ended just before it.
    let mut waits = Vec::new();
    for _ in 0..5 {
        let answer = try_login(&caller).await;
        if answer.status == 429 {
            waits.push(answer.number("retry-after"));
        }
    }
    let wait = *waits
        .first()
        .expect("at most two of five pass within two seconds");
    assert!((1..=2).contains(&wait), "{waits:?}");
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    try_login(&caller).await.expect(401);
}

async fn other_routes_have_no_limit(stage: &Stage) {
    let user = stage.shared.service.user().await;
    for _ in 0..20 {
        let answer = user.get("/auth/me").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
        let refresh = user
            .call(Method::POST, "/auth/refresh")
            .bearer(&user.login().refresh_token);
        refresh.send().await.expect(200);
    }
}
