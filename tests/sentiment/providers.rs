//! The settings of `docs/models.md`, each against a stand-in that accepts and returns what that provider does.

use std::sync::Arc;

use http::Method;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::support::analysis::{analyze, assert_by_lexicon, assert_by_model, happy_and_sad};
use crate::support::env::TestEnv;
use crate::support::instance::{Instance, ModelState};
use crate::support::model_server::{HttpReply, ModelRequest, Reply};
use crate::support::registry::e2e_test;
use crate::support::repository::read_file;

const FOUNDRY: &str = include_str!("../data/providers/foundry.json");
const OPENAI: &str = include_str!("../data/providers/openai.json");
const OPENROUTER: &str = include_str!("../data/providers/openrouter.json");
const OLLAMA: &str = include_str!("../data/providers/ollama.json");
const LLAMA_CPP: &str = include_str!("../data/providers/llama-cpp.json");
const GITHUB_MODELS: &str = include_str!("../data/providers/github-models.json");

/// A recorded provider: its settings, its response, its errors and what it refuses.
fn parse(recording: &str) -> Value {
    serde_json::from_str(recording).expect("a recording is JSON")
}

/// Responds to a request as the provider does.
fn respond(provider: &Value, request: &ModelRequest) -> HttpReply {
    assert_accepted(request, &provider["settings"]);
    let refusals = &provider["refusals"];
    let temperature = request.body.get("temperature");
    let has_temperature = temperature.is_some_and(|temperature| *temperature != 1);
    let has_max_tokens = request.body.get("max_tokens").is_some();
    if let Some(refusal) = refusals.get("max_tokens").filter(|_| has_max_tokens) {
        return http_reply(400, refusal);
    }
    let has_schema = request.body["response_format"]["type"] == "json_schema";
    match (refusals.get("temperature"), refusals.get("json_schema")) {
        (Some(refusal), _) if has_temperature => http_reply(400, refusal),
        (_, Some(refusal)) if has_schema => http_reply(400, refusal),
        _ => http_reply(200, &provider["answer"]),
    }
}

fn http_reply(status: u16, body: &Value) -> HttpReply {
    let json = ("content-type", "application/json; charset=utf-8".to_owned());
    HttpReply(status, vec![json], body.to_string().into())
}

/// Fails unless a provider with these settings accepts the request.
///
/// All of them refuse unknown fields, other roles, JSON mode without the word "JSON" in a message, and a schema that is not strict.
fn assert_accepted(request: &ModelRequest, settings: &Value) {
    let ModelRequest {
        headers,
        body,
        path,
    } = request;
    assert_eq!(**path, settings["github_models_path"]);
    assert_eq!(headers["content-type"], "application/json");
    let token = settings["github_token"].as_str().expect("a string");
    let (name, value, other) = match settings["github_auth_style"].as_str() {
        Some("api-key") => ("api-key", token.to_owned(), "authorization"),
        _ => ("authorization", format!("Bearer {token}"), "api-key"),
    };
    assert_eq!(headers[name], value);
    assert_eq!(headers.get(other), None);
    assert_eq!(body["model"], settings["github_model_name"]);
    let known = [
        "model",
        "messages",
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "response_format",
        "stream",
    ];
    let fields = body.as_object().expect("an object").keys();
    let unknown: Vec<_> = fields
        .filter(|field| !known.contains(&field.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // OpenAI refuses both together.
    let limits = [&body["max_tokens"], &body["max_completion_tokens"]];
    let limits: Vec<_> = limits.into_iter().filter_map(Value::as_u64).collect();
    assert_eq!(limits.len(), 1, "{body}");
    let messages = body["messages"].as_array().expect("an array");
    let roles: Vec<_> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user"]);
    assert_ne!(body["stream"], json!(true));
    let format = &body["response_format"];
    match format["type"].as_str() {
        Some("json_schema") => assert_strict(&format["json_schema"]),
        Some("json_object") => assert!(body["messages"].to_string().contains("JSON")),
        _ => assert!(format.is_null(), "{format}"),
    }
}

/// Fails unless a schema requires all of its properties and allows no others, as strict mode demands.
fn assert_strict(format: &Value) {
    assert_eq!(format["strict"], true);
    assert!(format["name"].is_string());
    let schema = &format["schema"];
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().expect("an object");
    let properties: Vec<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(properties, ["negative", "positive"]);
    let required = schema["required"].as_array().expect("an array");
    let required = required.iter().map(|name| name.as_str().expect("a string"));
    let mut required: Vec<&str> = required.collect();
    required.sort_unstable();
    assert_eq!(required, properties);
}

async fn check(env: &TestEnv, recording: &str) {
    let provider = Arc::new(parse(recording));
    let settings = provider["settings"].as_object().expect("an object");
    let settings = settings.iter().map(|(name, value)| {
        let value = value.as_str().expect("a string");
        (name.as_str(), value)
    });
    let settings: Vec<_> = settings.collect();
    let instance = env.start_instance(&settings).await;
    // The first entry finds out what the provider refuses, and the second makes use of that.
    for requests in [provider["requests"].as_u64(), Some(1)] {
        let responder = Arc::clone(&provider);
        let respond = move |request: &ModelRequest| respond(&responder, request);
        let text = "I was Over the Moon, then missed the bus";
        let reply = Reply::Computed(Arc::new(respond));
        let (entry, word) = analyze(env, &instance, text, reply).await;
        let marks = [
            ("positive", "Over the Moon"),
            ("negative", "missed the bus"),
        ];
        assert_by_model(&entry, &marks);
        assert_eq!(Some(env.model.request_count(&word) as u64), requests);
    }
    let errors = provider["errors"].as_array().expect("an array");
    assert!(!errors.is_empty(), "no errors are recorded");
    for error in errors {
        check_error(env, &instance, error).await;
    }
}

/// Has the model respond with a recorded error and checks its effect on the circuit breaker.
async fn check_error(env: &TestEnv, instance: &Instance, error: &Value) {
    instance.reset_model_state().await;
    let status = error["status"].as_u64().expect("a number");
    let status = status.try_into().expect("a status");
    let HttpReply(_, mut headers, body) = http_reply(status, &error["body"]);
    if let Some(wait) = error["headers"]["retry-after"].as_str() {
        headers.push(("retry-after", wait.to_owned()));
    }
    let reply = Reply::Http(HttpReply(status, headers, body));
    let (text, word) = happy_and_sad(env, reply);
    let user = instance.user().await;
    let request = user.request(Method::POST, "/diaries");
    let request = request.json(&json!({"content": text}));
    let response = request.header("x-request-id", &word).send().await;
    assert_by_lexicon(&response.expect_status(201).json());
    assert_eq!(env.model.request_count(&word), 1, "{error}");

    let ModelState {
        failures,
        open_until,
        ..
    } = instance.model_state().await;
    let (expected, line) = match &error["outcome"] {
        Value::String(outcome) if outcome == "answered" => ((None, false), "lexicon".to_owned()),
        Value::String(outcome) if outcome == "failed" => ((Some(1), false), "lexicon".to_owned()),
        open => ((None, true), format!("{} s", open["open_seconds"])),
    };
    assert_eq!((failures, open_until.is_some()), expected, "{error}");
    let log = instance.wait_for_log(&[&word, &line]).await;
    let message = error["body"].pointer("/error/message");
    if let Some(message) = message.and_then(Value::as_str) {
        assert!(!log.contains(message), "{log}");
    }
}

#[apply(e2e_test!)]
async fn microsoft_foundry(env: &TestEnv) {
    check(env, FOUNDRY).await;
}

#[apply(e2e_test!)]
async fn openai_with_a_reasoning_model(env: &TestEnv) {
    check(env, OPENAI).await;
}

#[apply(e2e_test!)]
async fn openrouter(env: &TestEnv) {
    check(env, OPENROUTER).await;
}

#[apply(e2e_test!)]
async fn ollama(env: &TestEnv) {
    check(env, OLLAMA).await;
}

#[apply(e2e_test!)]
async fn llama_cpp(env: &TestEnv) {
    check(env, LLAMA_CPP).await;
}

#[apply(e2e_test!)]
async fn github_models(env: &TestEnv) {
    check(env, GITHUB_MODELS).await;
}

#[apply(e2e_test!)]
async fn have_their_settings_in_the_guide(_: &TestEnv) {
    let guide = read_file("docs/models.md");
    for recording in [
        FOUNDRY,
        OPENAI,
        OPENROUTER,
        OLLAMA,
        LLAMA_CPP,
        GITHUB_MODELS,
    ] {
        let settings = &parse(recording)["settings"];
        for name in ["github_models_path", "github_auth_style"] {
            let value = settings[name].as_str().expect("a string");
            let line = format!("SPIN_VARIABLE_{}={value}\n", name.to_uppercase());
            assert!(guide.contains(&line), "{line}");
        }
    }
}
