//! Diary text, emails, passwords and tokens reach no log and no Redis.

use http::Method;
use redis::AsyncCommands;
use serde_json::json;

use crate::client::{PASSWORD, fresh_word};
use crate::model::Reply;
use crate::stage::{Instance, JWT_KEY, MODEL_TOKEN, Stage};

tests![
    the_log_of_a_whole_visit_holds_nothing_private,
    redis_holds_nothing_private_and_nothing_for_ever,
    answers_never_repeat_what_was_sent_wrong,
];

/// Does what users do, also wrongly, and gives all that must stay private.
async fn visit(stage: &Stage, instance: &Instance, request_id: &str) -> Vec<String> {
    let word = fresh_word("secretword");
    let user = instance.service.user().await;
    let anonymous = user.anonymous();
    let login = user.login().clone();
    let with_id =
        |method: Method, path: &str| user.call(method, path).header("x-request-id", request_id);
    let draft = |text: &str| json!({"content": format!("{text} {word} in it.")});
    let path = format!(
        "/diaries/{}",
        user.write(&format!("A lovely {word} in it.")).await["id"]
    );
    for reply in [
        Reply::Status(500, None),
        Reply::Says(format!("nonsense about {word}")),
        Reply::Never,
        Reply::Hangup,
    ] {
        stage.model.when(&word, reply);
        with_id(Method::PUT, &path)
            .json(&draft("An awful"))
            .send()
            .await
            .expect(200);
    }
    with_id(Method::POST, "/diaries")
        .json(&json!({"content": [word]}))
        .send()
        .await
        .expect(400);
    with_id(Method::POST, "/diaries")
        .body("application/json", format!("{{\"content\": \"{word}"))
        .send()
        .await
        .expect(400);
    with_id(Method::GET, &format!("/diaries/0?page={word}"))
        .send()
        .await
        .expect(404);
    with_id(Method::GET, "/diaries")
        .bearer(&format!("{}x", login.access_token))
        .send()
        .await
        .expect(401);
    with_id(Method::GET, "/diaries")
        .header("x-note", &word)
        .header("cookie", &word)
        .send()
        .await
        .expect(200);
    with_id(Method::POST, "/auth/refresh")
        .bearer(&login.refresh_token)
        .send()
        .await
        .expect(200);
    let wrong = json!({"email": login.email, "password": format!("Wr0ng!{word}")});
    anonymous.post("/auth/login", &wrong).await.expect(401);
    anonymous
        .anonymous()
        .post("/auth/register", &wrong)
        .await
        .expect(400);
    with_id(Method::POST, "/auth/logout")
        .send()
        .await
        .expect(200);
    let local = login.email.split('@').next().unwrap_or_default().to_owned();
    vec![
        word,
        local,
        login.access_token,
        login.refresh_token,
        PASSWORD.to_owned(),
        JWT_KEY.to_owned(),
        MODEL_TOKEN.to_owned(),
    ]
}

async fn the_log_of_a_whole_visit_holds_nothing_private(stage: &Stage) {
    // It logs more than production does.
    let instance = stage.moody().await;
    let request_id = fresh_word("visit");
    let private = visit(stage, instance, &request_id).await;
    let log = instance.app.log();
    assert!(
        log.contains(&request_id),
        "the failures of the model are logged under the request's id"
    );
    for text in &private {
        let line = log.lines().find(|line| line.contains(text.as_str()));
        assert_eq!(line, None, "{text}");
    }
    for url in [&instance.database_url, &instance.redis_url] {
        assert!(!log.contains(url.as_str()), "the URL of a server");
    }
}

async fn redis_holds_nothing_private_and_nothing_for_ever(stage: &Stage) {
    let instance = stage.moody().await;
    let private = visit(stage, instance, &fresh_word("visit")).await;
    let client = redis::Client::open(instance.redis_url.as_str()).expect("a Redis URL");
    let mut redis = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis is there");
    let caller = instance.service.anonymous();
    caller
        .post(
            "/auth/login",
            &json!({"email": "ann@example.com", "password": "x"}),
        )
        .await
        .expect(401);
    let keys: Vec<String> = redis.keys("*").await.expect("keys");
    assert!(
        keys.iter().any(|key| key.contains(&caller.address)),
        "the limit just counted: {keys:?}"
    );
    for key in keys {
        let (kind, left): (String, i64) = redis::pipe()
            .cmd("TYPE")
            .arg(&key)
            .cmd("PTTL")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .expect("both");
        // A key may end between being listed and looked at.
        assert!(left != -1, "{key} has no end");
        let value: String = if kind == "string" {
            redis.get(&key).await.unwrap_or_default()
        } else {
            String::new()
        };
        for text in &private {
            assert!(
                !key.contains(text.as_str()) && !value.contains(text.as_str()),
                "{text} in {key}"
            );
        }
    }
}

async fn answers_never_repeat_what_was_sent_wrong(stage: &Stage) {
    let user = stage.shared.service.user().await;
    let word = fresh_word("echo");
    let body = json!({"email": word, "password": word, "content": {"a": word}});
    let calls = [
        user.anonymous()
            .call(Method::POST, "/auth/register")
            .json(&body),
        user.anonymous()
            .call(Method::POST, "/auth/login")
            .json(&body),
        user.call(Method::POST, "/diaries").json(&body),
        user.call(Method::POST, "/diaries")
            .body("application/json", format!("{{{word}")),
        user.call(Method::GET, &format!("/diaries?page={word}")),
        user.call(Method::GET, &format!("/{word}")),
        user.call(Method::GET, "/diaries").bearer(&word),
    ];
    for call in calls {
        let answer = call.send().await;
        assert!((400..500).contains(&answer.status), "{}", answer.shown());
        assert!(
            !String::from_utf8_lossy(&answer.body).contains(&word),
            "{}",
            answer.shown()
        );
    }
}
