//! `spin.toml` as the table of who is public and who may reach whom.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::stage::Stage;

tests![
    each_component_may_reach_only_what_it_uses,
    each_component_sees_only_the_settings_it_uses,
    only_the_sentiment_component_is_private,
    secrets_are_marked_and_have_no_default,
    the_components_stay_small,
];

fn manifest() -> Table {
    let text = std::fs::read_to_string(testbed::workspace().join("spin.toml"))
        .expect("there is a spin.toml");
    text.parse().expect("it is TOML")
}

fn component(manifest: &Table, id: &str) -> Value {
    manifest["component"][id].clone()
}

fn strings(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().expect("a list");
    items
        .iter()
        .map(|item| item.as_str().expect("a string").to_owned())
        .collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

async fn each_component_may_reach_only_what_it_uses(_: &Stage) {
    const POSTGRES: &str = "postgres://{{ database_host }}";
    const REDIS: &str = "redis://{{ redis_host }}";
    let manifest = manifest();
    let allowed = |id| strings(&component(&manifest, id)["allowed_outbound_hosts"]);
    assert_eq!(allowed("auth"), set(&[POSTGRES, REDIS]));
    assert_eq!(
        allowed("entries"),
        set(&[POSTGRES, "http://sentiment.spin.internal"])
    );
    assert_eq!(
        allowed("sentiment"),
        set(&["{{ github_models_host }}", REDIS])
    );
    assert_eq!(allowed("system"), set(&[POSTGRES, REDIS]));
    let components = manifest["component"].as_table().expect("components");
    assert_eq!(components.len(), 4);
    for (id, component) in components {
        for name in [
            "ai_models",
            "key_value_stores",
            "sqlite_databases",
            "files",
            "dependencies_inherit_configuration",
        ] {
            assert!(component.get(name).is_none(), "{id} needs no {name}");
        }
    }
}

async fn each_component_sees_only_the_settings_it_uses(_: &Stage) {
    let manifest = manifest();
    let sees = |id: &str, name: &str| component(&manifest, id)["variables"].get(name).is_some();
    for (name, users) in [
        ("jwt_secret_key", ["auth", "entries"].as_slice()),
        ("database_url", &["auth", "entries", "system"]),
        ("redis_url", &["auth", "sentiment", "system"]),
        ("github_token", &["sentiment"]),
        ("sweep_token", &["entries"]),
    ] {
        for id in ["auth", "entries", "sentiment", "system"] {
            assert_eq!(sees(id, name), users.contains(&id), "{id} and {name}");
        }
    }
}

async fn only_the_sentiment_component_is_private(_: &Stage) {
    let manifest = manifest();
    let triggers = manifest["trigger"]["http"]
        .as_array()
        .expect("HTTP triggers")
        .clone();
    let mut routes = Vec::new();
    for trigger in &triggers {
        let route = match &trigger["route"] {
            Value::String(route) => route.clone(),
            route => format!("private {}", route["private"]),
        };
        routes.push((
            trigger["component"].as_str().expect("an id").to_owned(),
            route,
        ));
    }
    routes.sort();
    let expected = [
        ("auth", "/auth/..."),
        ("entries", "/diaries/..."),
        ("entries", "/internal/..."),
        ("sentiment", "private true"),
        ("system", "/..."),
    ];
    assert_eq!(
        routes,
        expected.map(|(id, route)| (id.to_owned(), route.to_owned()))
    );
}

async fn secrets_are_marked_and_have_no_default(_: &Stage) {
    let manifest = manifest();
    let variables = manifest["variables"].as_table().expect("variables");
    for name in ["database_url", "redis_url", "jwt_secret_key"] {
        let variable = &variables[name];
        assert_eq!(
            variable.get("required").and_then(Value::as_bool),
            Some(true),
            "{name}"
        );
        assert_eq!(
            variable.get("secret").and_then(Value::as_bool),
            Some(true),
            "{name}"
        );
        assert!(variable.get("default").is_none(), "{name}");
    }
    for name in ["github_token", "sweep_token"] {
        let variable = &variables[name];
        assert_eq!(
            variable.get("secret").and_then(Value::as_bool),
            Some(true),
            "{name}"
        );
    }
    for (name, default) in [
        ("github_models_host", "https://models.github.ai"),
        ("github_models_path", "/inference/chat/completions"),
        ("github_token", ""),
        ("github_model_name", "openai/gpt-4o"),
        ("github_auth_style", "bearer"),
        ("github_timeout_ms", "8000"),
        ("sentiment_cache_ttl", "30d"),
        ("sweep_token", ""),
        ("cors_origins", "http://localhost:5173"),
        ("trusted_proxy_hops", "0"),
        ("register_limit", "3/1h"),
        ("login_limit", "5/15m"),
    ] {
        assert_eq!(
            variables[name].get("default").and_then(Value::as_str),
            Some(default),
            "{name}"
        );
    }
}

async fn the_components_stay_small(_: &Stage) {
    let manifest = manifest();
    for (id, limit) in [
        ("auth", 1_000_000),
        ("entries", 1_000_000),
        ("sentiment", 1_200_000),
        ("system", 2_000_000),
    ] {
        let source = component(&manifest, id)["source"]
            .as_str()
            .expect("a file")
            .to_owned();
        let file = std::fs::metadata(testbed::workspace().join(&source)).expect("it is built");
        assert!(file.len() < limit, "{source} has {} bytes", file.len());
    }
}
