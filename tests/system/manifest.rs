//! `spin.toml` as the table of permissions: what is public, what each component may reach, and which settings it sees.

use std::collections::BTreeSet;

use macro_rules_attribute::apply;
use toml::{Table, Value};

use crate::support::env::TestEnv;
use crate::support::registry::e2e_test;
use crate::support::repository::{file_size, read_file};

const COMPONENTS: [&str; 5] = ["auth", "entries", "hashing", "sentiment", "system"];

fn manifest() -> Table {
    let text = read_file("spin.toml");
    text.parse().expect("spin.toml is TOML")
}

fn strings(value: &Value) -> BTreeSet<&str> {
    let values = value.as_array().expect("an array");
    let strings = values.iter().map(|value| value.as_str().expect("a string"));
    strings.collect()
}

#[apply(e2e_test!)]
async fn lets_each_component_reach_only_what_it_uses(_: &TestEnv) {
    const POSTGRES: &str = "postgres://{{ database_host }}";
    const REDIS: &str = "redis://{{ redis_host }}";
    const REDIS_TLS: &str = "rediss://{{ redis_host }}";
    const SENTRY: &str = "{{ sentry_host }}";
    let manifest = manifest();
    let components = manifest["component"].as_table().expect("a table");
    let names: BTreeSet<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(COMPONENTS));
    for (name, hosts) in [
        (
            "auth",
            &[
                POSTGRES,
                REDIS,
                REDIS_TLS,
                SENTRY,
                "http://hashing.spin.internal",
            ][..],
        ),
        (
            "entries",
            &[
                POSTGRES,
                REDIS,
                REDIS_TLS,
                SENTRY,
                "http://sentiment.spin.internal",
            ],
        ),
        ("hashing", &[]),
        (
            "sentiment",
            &["{{ github_models_host }}", REDIS, REDIS_TLS, SENTRY],
        ),
        ("system", &[POSTGRES, REDIS, REDIS_TLS, SENTRY]),
    ] {
        let allowed = strings(&components[name]["allowed_outbound_hosts"]);
        assert_eq!(allowed, hosts.iter().copied().collect(), "{name}");
    }
    for (name, component) in components {
        for permission in [
            "ai_models",
            "key_value_stores",
            "sqlite_databases",
            "files",
            "dependencies_inherit_configuration",
        ] {
            assert_eq!(component.get(permission), None, "{permission} of {name}");
        }
    }
}

#[apply(e2e_test!)]
async fn shows_secrets_only_to_the_components_that_use_them(_: &TestEnv) {
    let manifest = manifest();
    for (setting, users) in [
        ("jwt_secret_key", &["auth", "entries"][..]),
        ("jwt_previous_secret_key", &["auth", "entries"]),
        ("database_url", &["auth", "entries", "system"]),
        ("redis_url", &["auth", "entries", "sentiment", "system"]),
        ("github_token", &["sentiment"]),
        ("sweep_token", &["entries"]),
        ("sentry_dsn", &["auth", "entries", "sentiment", "system"]),
    ] {
        let sees = |name: &&str| {
            let variables = &manifest["component"][*name]["variables"];
            let value = variables.get(setting);
            // A component without the server has an empty value.
            value.is_some_and(|value| value.as_str() != Some(""))
        };
        let found: Vec<&str> = COMPONENTS.into_iter().filter(sees).collect();
        assert_eq!(found, users, "{setting}");
    }
}

#[apply(e2e_test!)]
async fn makes_only_hashing_and_sentiment_private(_: &TestEnv) {
    let manifest = manifest();
    let triggers = manifest["trigger"]["http"].as_array().expect("an array");
    let mut routes = Vec::new();
    for trigger in triggers {
        let component = trigger["component"].as_str().expect("a string");
        let route = match &trigger["route"] {
            Value::String(route) => route.clone(),
            route => format!("private = {}", route["private"]),
        };
        routes.push((component, route));
    }
    routes.sort();
    let expected = [
        ("auth", "/auth/..."),
        ("entries", "/diaries/..."),
        ("entries", "/internal/..."),
        ("hashing", "private = true"),
        ("sentiment", "private = true"),
        ("system", "/..."),
    ];
    assert_eq!(
        routes,
        expected.map(|(component, route)| (component, route.to_owned()))
    );
}

#[apply(e2e_test!)]
async fn marks_secrets_and_gives_them_no_default(_: &TestEnv) {
    let manifest = manifest();
    let variables = manifest["variables"].as_table().expect("a table");
    let is_secret = |variable: &Value| variable.get("secret").and_then(Value::as_bool);
    let secrets = variables
        .iter()
        .filter(|(_, variable)| is_secret(variable) == Some(true));
    let secrets: Vec<(&str, Option<&str>)> = secrets
        .map(|(name, variable)| {
            let default = variable.get("default").and_then(Value::as_str);
            (name.as_str(), default)
        })
        .collect();
    // Required secrets have no default. An optional one is empty, which disables what it is for.
    let expected = [
        ("database_url", None),
        ("redis_url", None),
        ("jwt_secret_key", None),
        ("github_token", Some("")),
        ("sweep_token", Some("")),
        ("jwt_previous_secret_key", Some("")),
        ("sentry_dsn", Some("")),
    ];
    assert_eq!(secrets, expected);
}

/// The test of the settings in `xtask` compares the defaults with README.md and `.env.example`.
#[apply(e2e_test!)]
async fn gives_a_default_to_every_setting_that_is_not_required(_: &TestEnv) {
    let manifest = manifest();
    let variables = manifest["variables"].as_table().expect("a table");
    assert!(variables.len() > 10, "{variables:?}");
    for (name, variable) in variables {
        let is_required = variable.get("required").and_then(Value::as_bool);
        let default = variable.get("default").and_then(Value::as_str);
        assert_ne!(is_required == Some(true), default.is_some(), "{name}");
    }
}

/// A node loads every component, and the size of each determines how long that takes.
#[apply(e2e_test!)]
async fn has_small_components(_: &TestEnv) {
    let manifest = manifest();
    for (name, limit) in [
        ("auth", 1_100_000),
        ("entries", 1_050_000),
        ("hashing", 700_000),
        ("sentiment", 1_200_000),
        ("system", 2_000_000),
    ] {
        let source = manifest["component"][name]["source"].as_str();
        let size = file_size(source.expect("a string"));
        assert!(size < limit, "{name} has {size} bytes");
    }
}
