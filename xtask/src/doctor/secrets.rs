//! Length, randomness and reuse of the secrets; limits on logins.

use std::collections::BTreeMap;

use reqwest::Url;
use testbed::settings::Settings;

use super::findings::Findings;

/// The service refuses a shorter key.
const MIN_KEY_BYTES: usize = 32;
const MIN_PASSWORD_BYTES: usize = 16;
/// Text with fewer different characters was typed, not generated. Hexadecimal of 32 random bytes has 16.
const MIN_DISTINCT_CHARACTERS: usize = 10;

pub fn check(settings: &Settings, findings: &mut Findings) {
    key(settings, "jwt_secret_key", findings);
    if settings.get("sweep_token").is_some() {
        key(settings, "sweep_token", findings);
    } else {
        findings.warning("sweep_token", "not set: entries that the model failed on keep the word list's marks. Set it, and call the sweep every five minutes");
    }
    password(settings, "database_url", findings);
    password(settings, "redis_url", findings);
    reuse(settings, findings);
    for limit in ["register_limit", "login_limit"] {
        findings.expect(
            limit,
            settings.get(limit) != Some("off"),
            "attempts per client address are limited",
            "is off: anyone can try passwords. Remove the setting",
        );
    }
}

fn key(settings: &Settings, name: &str, findings: &mut Findings) {
    let advice = "generate one with `openssl rand -hex 32`";
    let Some(key) = settings.get(name) else {
        return findings.failed(name, format!("is not set: {advice}"));
    };
    if key.len() < MIN_KEY_BYTES {
        findings.failed(
            name,
            format!(
                "has {} bytes, fewer than {MIN_KEY_BYTES}: {advice}",
                key.len()
            ),
        );
    } else if distinct_characters(key) < MIN_DISTINCT_CHARACTERS {
        findings.failed(name, format!("is not random: {advice}"));
    } else {
        findings.passed(name, format!("has {} bytes", key.len()));
    }
}

fn password(settings: &Settings, name: &str, findings: &mut Findings) {
    let Some(url) = settings.get(name) else {
        return findings.failed(name, "is not set");
    };
    let url = Url::parse(url).ok();
    let length = url.and_then(|url| Some(url.password()?.len()));
    match length {
        None => findings.failed(name, "has no password: set one in the server and in the URL"),
        Some(length) if length < MIN_PASSWORD_BYTES => findings.failed(
            name,
            format!("its password has {length} bytes, fewer than {MIN_PASSWORD_BYTES}: use `openssl rand -hex 32`"),
        ),
        Some(length) => findings.passed(name, format!("its password has {length} bytes")),
    }
}

fn reuse(settings: &Settings, findings: &mut Findings) {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in [
        "jwt_secret_key",
        "sweep_token",
        "github_token",
        "database_url",
        "redis_url",
    ] {
        let Some(value) = settings.get(name) else {
            continue;
        };
        let password = Url::parse(value)
            .ok()
            .and_then(|url| url.password().map(ToOwned::to_owned));
        let secret = if name.ends_with("_url") {
            password
        } else {
            Some(value.to_owned())
        };
        if let Some(secret) = secret {
            names.entry(secret).or_default().push(name);
        }
    }
    let reused: Vec<_> = names
        .values()
        .filter(|names| names.len() > 1)
        .map(|names| names.join(" and "))
        .collect();
    findings.expect(
        "reuse of secrets",
        reused.is_empty(),
        "each secret has a value of its own",
        format!(
            "{} have the same value: generate one for each",
            reused.join("; ")
        ),
    );
}

fn distinct_characters(text: &str) -> usize {
    let mut characters: Vec<_> = text.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    characters.len()
}

#[cfg(test)]
mod tests {
    use super::super::findings::Outcome;
    use super::*;

    const KEY: &str = "8c1f0b2d9e7a45638c1f0b2d9e7a45638c1f0b2d9e7a4563";

    fn check_with(values: &[(&str, &str)]) -> Findings {
        let mut settings = Settings::default();
        for (name, value) in values {
            settings.set(name, *value);
        }
        let mut findings = Findings::default();
        check(&settings, &mut findings);
        findings
    }

    #[test]
    fn refuses_missing_short_and_typed_keys() {
        let message = |key: &str| {
            let findings = check_with(&[("jwt_secret_key", key)]);
            let (outcome, message) = findings.of("jwt_secret_key")[0];
            assert_eq!(outcome, Outcome::Failed);
            message.to_owned()
        };
        let advice = "generate one with `openssl rand -hex 32`";
        assert_eq!(message(""), format!("is not set: {advice}"));
        assert_eq!(
            message("secret"),
            format!("has 6 bytes, fewer than 32: {advice}")
        );
        assert_eq!(
            message(&"ab".repeat(20)),
            format!("is not random: {advice}")
        );
    }

    #[test]
    fn accepts_random_keys_and_passwords() {
        let findings = check_with(&[
            ("jwt_secret_key", KEY),
            ("sweep_token", &KEY[1..]),
            ("database_url", "postgres://u:0123456789abcdef@h/d"),
            ("redis_url", "redis://:fedcba9876543210@h"),
        ]);
        assert_eq!(findings.failures(), 0, "{findings:?}");
        assert_eq!(
            findings.of("redis_url"),
            [(Outcome::Passed, "its password has 16 bytes")]
        );
    }

    #[test]
    fn finds_a_secret_that_is_used_twice() {
        let findings = check_with(&[
            ("jwt_secret_key", KEY),
            ("sweep_token", KEY),
            ("database_url", "postgres://u:0123456789abcdef@h/d"),
            ("redis_url", "redis://:0123456789abcdef@h"),
        ]);
        let expected = "database_url and redis_url; jwt_secret_key and sweep_token have the same value: generate one for each";
        assert_eq!(
            findings.of("reuse of secrets"),
            [(Outcome::Failed, expected)]
        );
    }

    #[test]
    fn refuses_a_server_without_password_and_a_limit_that_is_off() {
        let findings = check_with(&[("redis_url", "redis://h:6379/0"), ("login_limit", "off")]);
        let no_password = "has no password: set one in the server and in the URL";
        assert_eq!(findings.of("redis_url"), [(Outcome::Failed, no_password)]);
        assert_eq!(findings.of("login_limit")[0].0, Outcome::Failed);
        assert_eq!(findings.of("register_limit")[0].0, Outcome::Passed);
    }
}
