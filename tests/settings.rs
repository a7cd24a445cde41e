//! Settings that make no sense stop the request with 503 and a line in the log that names them and not their value.

use http::Method;
use serde_json::json;

use crate::stage::Stage;

tests![
    a_key_that_is_too_short_stops_what_signs,
    a_limit_and_a_timeout_that_make_no_sense_stop_what_reads_them,
    a_database_url_that_is_none_stops_what_needs_it,
    proxies_that_make_no_sense_stop_everything,
    origins_that_are_none_stop_everything,
];

/// Starts the service with settings that make no sense, calls it, and looks at its log.
async fn check(stage: &Stage, settings: &[(&str, &str)], calls: &[(&str, u16)]) {
    let instance = stage.new_instance(settings).await;
    let anonymous = instance.service.anonymous();
    for (path, status) in calls {
        let method = if ["/auth/login", "/auth/register"].contains(path) {
            Method::POST
        } else {
            Method::GET
        };
        let call = anonymous
            .call(method, path)
            .json(&json!({"email": "ann@example.com", "password": "Passw0rd!"}));
        // The document has no 503 for `/health`: nothing that a client can expect.
        let answer = call.send_unchecked().await;
        crate::conventions::check(&answer, false);
        let answer = answer.expect(*status);
        if *status == 503 {
            answer.expect_error(503, "service_unavailable");
        }
    }
    for (name, value) in settings {
        let log = instance.log_with(&[name]).await;
        assert!(!log.contains(value), "the log shows the value of {name}");
    }
    instance.app.stop().await;
}

async fn a_key_that_is_too_short_stops_what_signs(stage: &Stage) {
    let calls = [
        ("/auth/login", 503),
        ("/auth/me", 503),
        ("/diaries", 503),
        ("/diaries/1", 503),
        ("/health", 200),
        ("/ready", 200),
    ];
    check(
        stage,
        &[("jwt_secret_key", "only-31-bytes-of-a-key-as-it-is")],
        &calls,
    )
    .await;
}

async fn a_limit_and_a_timeout_that_make_no_sense_stop_what_reads_them(stage: &Stage) {
    let settings = [
        ("login_limit", "quite-often"),
        ("github_timeout_ms", "not-too-long"),
    ];
    check(
        stage,
        &settings,
        &[
            ("/auth/login", 503),
            ("/auth/register", 503),
            ("/diaries", 503),
            ("/ready", 200),
        ],
    )
    .await;
}

async fn a_database_url_that_is_none_stops_what_needs_it(stage: &Stage) {
    let calls = [
        ("/auth/login", 503),
        ("/diaries", 503),
        ("/ready", 503),
        ("/health", 200),
        ("/version", 200),
    ];
    check(
        stage,
        &[("database_url", "mysql://somewhere-else/diary")],
        &calls,
    )
    .await;
}

async fn proxies_that_make_no_sense_stop_everything(stage: &Stage) {
    let calls = [
        ("/auth/login", 503),
        ("/diaries", 503),
        ("/health", 503),
        ("/nowhere", 503),
    ];
    check(stage, &[("trusted_proxy_hops", "some-of-them")], &calls).await;
}

async fn origins_that_are_none_stop_everything(stage: &Stage) {
    let calls = [("/auth/login", 503), ("/diaries", 503), ("/health", 503)];
    check(stage, &[("cors_origins", "everybody.example/*")], &calls).await;
}
