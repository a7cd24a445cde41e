//! The settings of `docs/models.md` against a stand-in for each provider: it takes only what the provider takes, and answers as the provider does.

use std::sync::Arc;

use http::{HeaderMap, Method};
use redis::AsyncCommands;
use serde_json::{Value, json};

use crate::client::fresh_word;
use crate::html::read;
use crate::model::{Asked, Exact, Reply};
use crate::sentiment::{HAPPY_AND_SAD, analyse, check_lexicon};
use crate::stage::{Instance, Stage};

tests![
    microsoft_foundry,
    openai_with_a_reasoning_model,
    openrouter,
    ollama,
    llama_cpp,
    github_models,
    the_guide_has_the_settings_tested_here,
];

const FOUNDRY: &str = include_str!("data/providers/foundry.json");
const OPENAI: &str = include_str!("data/providers/openai.json");
const OPENROUTER: &str = include_str!("data/providers/openrouter.json");
const OLLAMA: &str = include_str!("data/providers/ollama.json");
const LLAMA_CPP: &str = include_str!("data/providers/llama-cpp.json");
const GITHUB_MODELS: &str = include_str!("data/providers/github-models.json");

/// A provider as recorded: settings, its answer, its errors, and what it refuses.
fn recorded(text: &str) -> Value {
    serde_json::from_str(text).expect("a recorded exchange is JSON")
}

/// What the provider makes of a request.
fn answer(recorded: &Value, asked: &Asked) -> Exact {
    check_request(asked, &recorded["settings"]);
    let has_temperature = asked
        .body
        .get("temperature")
        .is_some_and(|value| *value != 1);
    let has_schema = asked.body["response_format"]["type"] == "json_schema";
    let refused = [
        ("temperature", has_temperature),
        ("json_schema", has_schema),
    ]
    .into_iter()
    .filter(|(_, present)| *present)
    .find_map(|(name, _)| recorded["refusals"].get(name));
    match refused {
        Some(refusal) => exact(400, refusal),
        None => exact(200, &recorded["answer"]),
    }
}

fn exact(status: u16, body: &Value) -> Exact {
    let json = ("content-type", "application/json; charset=utf-8".to_owned());
    Exact(status, vec![json], body.to_string().into())
}

/// Fails unless a provider with these settings would take the request. What all of them refuse: other fields than those of
/// the format, messages of other roles, JSON asked for without the word, and a schema that is not closed.
fn check_request(asked: &Asked, settings: &Value) {
    let Asked {
        headers,
        body,
        path,
    } = asked;
    assert_eq!(**path, settings["github_models_path"]);
    assert_eq!(headers["content-type"], "application/json");
    check_key(headers, settings);
    assert_eq!(body["model"], settings["github_model_name"]);
    let fields = body.as_object().expect("an object").keys();
    let known = [
        "model",
        "messages",
        "temperature",
        "response_format",
        "stream",
    ];
    let unknown: Vec<_> = fields
        .filter(|field| !known.contains(&field.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let messages = body["messages"].as_array().expect("messages");
    let roles = messages.iter().map(|message| message["role"].as_str());
    assert!(roles.eq([Some("system"), Some("user")]));
    assert_ne!(body["stream"], json!(true));
    let format = &body["response_format"];
    match format["type"].as_str() {
        Some("json_schema") => check_schema(&format["json_schema"]),
        Some("json_object") => assert!(body["messages"].to_string().contains("JSON")),
        other => assert!(other.is_none() && format.is_null(), "{format}"),
    }
}

fn check_key(headers: &HeaderMap, settings: &Value) {
    let token = settings["github_token"].as_str().expect("a token");
    let (name, value, other) = match settings["github_auth_style"].as_str() {
        Some("api-key") => ("api-key", token.to_owned(), "authorization"),
        _ => ("authorization", format!("Bearer {token}"), "api-key"),
    };
    assert_eq!(headers[name], value);
    assert!(!headers.contains_key(other));
}

/// Strict mode wants every property required and no other allowed.
fn check_schema(format: &Value) {
    assert_eq!(format["strict"], true);
    assert!(format["name"].is_string());
    let schema = &format["schema"];
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().expect("properties");
    let required = schema["required"].as_array().expect("a list");
    assert_eq!(properties.len(), required.len());
    assert!(
        required
            .iter()
            .all(|name| properties.contains_key(name.as_str().expect("a name")))
    );
}

async fn check(stage: &Stage, text: &str) {
    let recorded = Arc::new(recorded(text));
    let settings = recorded["settings"].as_object().expect("settings");
    let changes: Vec<_> = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a string")))
        .collect();
    let instance = stage.new_instance(&changes).await;
    // What is refused is paid for once.
    for calls in [recorded["calls"].as_u64(), Some(1)] {
        let text = "I was Over the Moon, then missed the bus";
        let provider = Arc::clone(&recorded);
        let reply = Reply::By(Arc::new(move |asked| answer(&provider, asked)));
        let (diary, word) = analyse(stage, &instance, text, reply).await;
        assert_eq!(diary["analyzed_by"], "model", "{diary}");
        let html = diary["analyzed_content"].as_str().expect("a string");
        let marked = read(html).expect("only the two spans");
        assert_eq!(marked.of("positive"), ["Over the Moon"]);
        assert_eq!(marked.of("negative"), ["missed the bus"]);
        assert_eq!(Some(stage.model.asked(&word).len() as u64), calls);
    }
    for error in recorded["errors"].as_array().expect("errors") {
        check_error(stage, &instance, error).await;
    }
    instance.app.stop().await;
}

/// Has the model answer with an error, and looks at what the circuit makes of it.
async fn check_error(stage: &Stage, instance: &Instance, error: &Value) {
    instance.forget_models().await;
    let status = error["status"].as_u64().expect("a status");
    let Exact(status, mut headers, body) =
        exact(status.try_into().expect("a status"), &error["body"]);
    if let Some(wait) = error["headers"]["retry-after"].as_str() {
        headers.push(("retry-after", wait.to_owned()));
    }
    let word = fresh_word("zebra");
    stage
        .model
        .when(&word, Reply::Exactly(Exact(status, headers, body)));
    let user = instance.service.user().await;
    let draft = json!({"content": format!("{HAPPY_AND_SAD} {word}.")});
    let call = user.call(Method::POST, "/diaries").json(&draft);
    let call = call.header("x-request-id", &word);
    check_lexicon(&call.send().await.expect(201).json());
    assert_eq!(stage.model.asked(&word).len(), 1, "{error}");

    let (expected, line) = match &error["then"] {
        Value::String(then) if then == "unusable" => ((None, false), "took over".to_owned()),
        Value::String(then) if then == "failed" => ((Some(1), false), "took over".to_owned()),
        then => ((None, true), format!("takes over for {} s", then["paused"])),
    };
    let (failures, pause_ends) = known(instance).await;
    assert_eq!((failures, pause_ends.is_some()), expected, "{error}");
    let log = instance.log_with(&[&word, &line]).await;
    let message = error["body"].pointer("/error/message");
    let message = message.and_then(Value::as_str);
    assert!(
        message.is_none_or(|message| !log.contains(message)),
        "{log}"
    );
}

/// Failures in a row and when the pause ends, as all instances know them.
async fn known(instance: &Instance) -> (Option<u32>, Option<i64>) {
    let mut redis = instance.redis().await;
    let keys: Vec<String> = redis.keys("{sentiment}:model:*").await.expect("keys");
    match keys.first() {
        Some(key) => redis
            .hmget(key, &["failures", "pause_ends"])
            .await
            .expect("both, or nothing"),
        None => (None, None),
    }
}

async fn microsoft_foundry(stage: &Stage) {
    check(stage, FOUNDRY).await;
}

async fn openai_with_a_reasoning_model(stage: &Stage) {
    check(stage, OPENAI).await;
}

async fn openrouter(stage: &Stage) {
    check(stage, OPENROUTER).await;
}

async fn ollama(stage: &Stage) {
    check(stage, OLLAMA).await;
}

async fn llama_cpp(stage: &Stage) {
    check(stage, LLAMA_CPP).await;
}

async fn github_models(stage: &Stage) {
    check(stage, GITHUB_MODELS).await;
}

async fn the_guide_has_the_settings_tested_here(_: &Stage) {
    let guide = std::fs::read_to_string(testbed::workspace().join("docs/models.md"));
    let guide = guide.expect("there is a guide");
    for text in [
        FOUNDRY,
        OPENAI,
        OPENROUTER,
        OLLAMA,
        LLAMA_CPP,
        GITHUB_MODELS,
    ] {
        let settings = &recorded(text)["settings"];
        for name in ["github_models_path", "github_auth_style"] {
            let value = settings[name].as_str().expect("a string");
            let line = format!("SPIN_VARIABLE_{}={value}\n", name.to_uppercase());
            assert!(guide.contains(&line), "{line}");
        }
    }
}
