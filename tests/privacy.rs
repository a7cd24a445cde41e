//! Diary text, emails, passwords and tokens reach no log and no Redis, and diary text no trace.

use http::Method;
use redis::AsyncCommands;
use serde_json::json;

use crate::client::{PASSWORD, fresh_word};
use crate::collector::{Collector, contains};
use crate::model::{Exact, Reply};
use crate::stage::{Instance, JWT_KEY, MODEL_TOKEN, Stage};
use crate::wire::Wire;

tests![
    the_log_of_a_whole_visit_holds_nothing_private,
    redis_holds_nothing_private_and_nothing_for_ever,
    diary_text_reaches_no_log_no_trace_and_no_redis,
    answers_never_repeat_what_was_sent_wrong,
];

/// Logs more than production does, and has a model that may fail.
const LOUD: [(&str, &str); 2] = [("log_level", "debug"), ("register_limit", "off")];

async fn private_instance(stage: &Stage) -> Instance {
    stage.new_instance(&LOUD).await
}

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
    let instance = private_instance(stage).await;
    let request_id = fresh_word("visit");
    let private = visit(stage, &instance, &request_id).await;
    // The failures of the model are logged under the request's id.
    let log = instance.log_with(&["the model", &request_id]).await;
    for text in &private {
        let line = log.lines().find(|line| line.contains(text.as_str()));
        assert_eq!(line, None, "{text}");
    }
    for url in [&instance.database_url, &instance.redis_url] {
        assert!(!log.contains(url.as_str()), "the URL of a server");
    }
    instance.app.stop().await;
}

async fn redis_holds_nothing_private_and_nothing_for_ever(stage: &Stage) {
    let instance = private_instance(stage).await;
    let private = visit(stage, &instance, &fresh_word("visit")).await;
    let caller = instance.service.anonymous();
    let credentials = json!({"email": "ann@example.com", "password": "x"});
    caller.post("/auth/login", &credentials).await.expect(401);
    let stored = stored(&instance).await;
    for beginning in ["limit:", "{sentiment}:marks:", "{sentiment}:model:"] {
        let some = stored.iter().any(|(key, _)| key.starts_with(beginning));
        assert!(some, "there is something to look through: {stored:?}");
    }
    for (key, value) in &stored {
        for text in &private {
            assert!(
                !key.contains(text.as_str()) && !contains(value, text),
                "{text} in {key}"
            );
        }
    }
    instance.app.stop().await;
}

/// Everything in the Redis of an instance: keys, and values of every type. All of it must end some time.
async fn stored(instance: &Instance) -> Vec<(String, Vec<u8>)> {
    let mut redis = instance.redis().await;
    let keys: Vec<String> = redis.keys("*").await.expect("keys");
    let mut stored = Vec::new();
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
        let value = match kind.as_str() {
            "string" => redis.get(&key).await.expect("a string"),
            "hash" => {
                let fields: Vec<Vec<u8>> = redis.hgetall(&key).await.expect("a hash");
                fields.concat()
            }
            "none" => Vec::new(),
            other => panic!("{key} is a {other}, which nobody looks through yet"),
        };
        stored.push((key, value));
    }
    stored
}

/// A visit during which the model, Postgres and Redis fail in many ways. Gives the text that must be nowhere.
async fn calamities(stage: &Stage, instance: &Instance, wires: [&Wire; 2]) -> String {
    let word = fresh_word("secretword");
    let user = instance.service.user().await;
    let content = |text: &str| json!({"content": format!("{text} {word} in it.")});
    let diary = user.post("/diaries", &content("A lovely")).await;
    let path = format!("/diaries/{}", diary.expect(201).json()["id"]);
    for reply in failures(&word) {
        instance.forget_models().await;
        stage.model.when(&word, reply);
        user.put(&path, &content("An awful")).await.expect(200);
    }
    let analyze = user.call(Method::POST, &format!("{path}/analyze"));
    analyze.send().await.expect(200);
    // Nobody else is asked while the circuit is open.
    user.put(&path, &content("A sad")).await.expect(200);

    let database = instance.database().await;
    let mut answers = Vec::new();
    for (fail, mend) in [
        (
            "alter table thought_diaries rename to away",
            "alter table away rename to thought_diaries",
        ),
        // What Postgres says about this one holds the whole row.
        (
            "alter table thought_diaries add constraint none check (content not like '%A happy%')",
            "alter table thought_diaries drop constraint none",
        ),
        (
            "alter table thought_diaries rename content to away",
            "alter table thought_diaries rename away to content",
        ),
    ] {
        database.batch_execute(fail).await.expect("it fails now");
        for call in [
            user.call(Method::POST, "/diaries")
                .json(&content("A happy")),
            user.call(Method::PUT, &path).json(&content("A happy")),
        ] {
            let answer = call.send_unchecked().await;
            answers.push(answer.expect_error(500, "internal_error"));
        }
        database.batch_execute(mend).await.expect("it is mended");
    }
    let [to_postgres, to_redis] = wires;
    to_redis.fall_silent();
    answers.push(user.put(&path, &content("A good")).await.expect(200));
    to_redis.speak();
    to_postgres.fall_silent();
    let late = user.put(&path, &content("A bad")).await;
    answers.push(late.expect_error(503, "service_unavailable"));
    to_postgres.speak();
    for body in [
        format!("{{\"content\": [\"{word}\"]}}"),
        format!("{{\"content\": \"{word}"),
        format!("{{\"content\": \"{word}\", \"{word}\": 1}}").repeat(2),
    ] {
        let call = user.call(Method::POST, "/diaries");
        let answer = call.body("application/json", body).send().await;
        answers.push(answer.expect_error(400, "validation_error"));
    }
    for answer in answers.iter().filter(|answer| answer.status >= 400) {
        assert!(!contains(&answer.body, &word), "{}", answer.shown());
    }
    word
}

/// The ways in which a model fails, some of which repeat what it was asked.
fn failures(word: &str) -> Vec<Reply> {
    let repeated = || format!("{{\"error\": {{\"message\": \"I do not like {word}\"}}}}").into();
    let exactly = |status| Reply::Exactly(Exact(status, vec![], repeated()));
    let mut failures = vec![
        Reply::Says(format!("nonsense about {word}")),
        Reply::Says(format!("{{\"positive\": [\"not {word}\"], \"{word}\": 1}}")),
        Reply::Raw(format!("<html>{word}").into()),
        Reply::Choice(json!({"message": {"refusal": word}})),
        Reply::Never,
        Reply::Hangup,
        Reply::CutOff,
        Reply::Endless,
        Reply::Status(429, Some(1)),
    ];
    failures.extend([200, 302, 400, 401, 403, 404, 410, 413, 422, 429, 500, 503].map(exactly));
    failures
}

async fn diary_text_reaches_no_log_no_trace_and_no_redis(stage: &Stage) {
    let (postgres, redis) = stage.server_addresses();
    let wires = [Wire::to(postgres).await, Wire::to(redis).await];
    let database_url = stage.empty_database().await;
    testbed::migrate::up(&database_url)
        .await
        .expect("an empty database migrates");
    let redis_url = stage.fresh_redis();
    let collector = Collector::start().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
    ];
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect::<Vec<_>>();
    let (over_wire, over_other) = (wires[0].over(&database_url), wires[1].over(&redis_url));
    let mut instance = stage
        .instance_in(&over_wire, &over_other, &LOUD, &environment)
        .await;
    // What the test itself does goes past the wires.
    (instance.database_url, instance.redis_url) = (database_url, redis_url);
    let [postgres, redis] = &wires;
    let word = calamities(stage, &instance, [postgres, redis]).await;

    let last = fresh_word("last");
    let anonymous = instance.service.anonymous();
    anonymous.get(&format!("/{last}")).await.expect(404);
    if stage.is_on_spin() {
        let traces = collector.collected_with(&last).await;
        for part in ["spin_outbound_pg", "EVAL", "/diaries"] {
            assert!(contains(&traces, part), "{part} is traced");
        }
        assert!(!contains(&traces, &word), "diary text is in the traces");
    }
    let log = instance
        .log_with(&["Postgres did not answer in time"])
        .await;
    let line = log.lines().find(|line| contains(line.as_bytes(), &word));
    assert_eq!(line, None);
    for (key, value) in stored(&instance).await {
        assert!(!key.contains(&word) && !contains(&value, &word), "{key}");
    }
    instance.app.stop().await;
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
