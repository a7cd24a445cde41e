//! Settings of this component.

use std::{sync::OnceLock, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Uri, header};
use sha2::Sha256;
use thought_diary::{
    Error,
    config::{Secret, milliseconds, once, parse_duration, parsed, variable},
    digest::hex,
    rate_limit::Limit,
};

/// Largest value of `sentiment_cache_ttl`.
const MAX_CACHE_TTL: Duration = Duration::from_secs(3650 * 86_400);

/// A chat-completions server and the settings for calling it.
#[derive(Debug)]
pub struct ModelConfig {
    /// `github_models_host` and `github_models_path`.
    pub url: Uri,
    /// `github_model_name`.
    pub name: String,
    /// The header of `github_auth_style` with `github_token` as its value, which `Debug` does not show.
    pub auth: (HeaderName, HeaderValue),
    /// `github_timeout_ms`: time limit of an analysis by the model, from the lookup in Redis to the reply's last byte.
    pub timeout: Duration,
    /// `model_limit`: calls per user. `None` disables it.
    pub limit: Option<Limit>,
    /// `redis_url`.
    pub redis_url: Secret,
    /// `sentiment_cache_ttl`: lifetime of cached marks; `None` if the cache is off.
    pub cache_ttl: Option<Duration>,
    /// Redis key of the shared model state; derived from URL, model and authorization header.
    pub state_key: String,
}

impl ModelConfig {
    /// Returns the settings, loaded once per instance; `None` without `github_token`, which turns the model off.
    ///
    /// # Errors
    /// `service_unavailable` if a variable is invalid.
    pub async fn get() -> Result<Option<&'static Self>, Error> {
        static CONFIG: OnceLock<Option<ModelConfig>> = OnceLock::new();
        Ok(once(&CONFIG, Self::load()).await?.as_ref())
    }

    async fn load() -> Result<Option<Self>, Error> {
        let host = parsed(
            "github_models_host",
            "an address such as https://models.example",
            |host| is_address(host).then(|| host.trim_end_matches('/').to_owned()),
        )
        .await?;
        let url = parsed(
            "github_models_path",
            "a path such as /v1/chat/completions",
            |path| {
                path.starts_with('/')
                    .then(|| format!("{host}{path}").parse().ok())
                    .flatten()
            },
        )
        .await?;
        let style = parsed("github_auth_style", "bearer or api-key", AuthStyle::parse).await?;
        let timeout = milliseconds("github_timeout_ms").await?;
        let cache_ttl = parsed(
            "sentiment_cache_ttl",
            "a time from 1s to 3650d, such as 30d, or off",
            parse_ttl,
        )
        .await?;
        let limit = Limit::from_variable("model_limit").await?;
        let token = variable("github_token").await?;
        if token.is_empty() {
            return Ok(None);
        }
        let auth = style.header(&token).ok_or_else(|| {
            Error::invalid_setting(
                "github_token",
                "contains characters that are invalid in a header",
            )
        })?;
        let name = parsed("github_model_name", "the name of a model", |name| {
            (!name.is_empty()).then(|| name.to_owned())
        })
        .await?;
        Ok(Some(Self {
            state_key: state_key(&url, &name, &auth),
            url,
            name,
            auth,
            timeout,
            limit,
            redis_url: Secret::new(variable("redis_url").await?),
            cache_ttl,
        }))
    }
}

/// Returns a key that differs for each combination of these settings and does not reveal the token.
fn state_key(url: &Uri, name: &str, (header, token): &(HeaderName, HeaderValue)) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(token.as_bytes());
    let digest = mac.map(|mac| {
        let mac = mac.chain_update(url.to_string()).chain_update([0]);
        hex(mac
            .chain_update(name)
            .chain_update([0])
            .chain_update(header))
    });
    let digest = digest.unwrap_or_default();
    // The hash tag puts the state into the same slot of a Redis cluster as the cached marks.
    format!(
        "{{sentiment}}:model:{}",
        digest.get(..16).unwrap_or_default()
    )
}

/// Parses `off` or a duration.
fn parse_ttl(value: &str) -> Option<Option<Duration>> {
    match value {
        "off" => Some(None),
        time => parse_duration(time)
            .filter(|ttl| *ttl <= MAX_CACHE_TTL)
            .map(Some),
    }
}

/// Returns whether `host` is a scheme and a host with an optional port, the form that `allowed_outbound_hosts` requires.
fn is_address(host: &str) -> bool {
    host.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path() == "/"
            && uri.query().is_none()
    })
}

/// Header that carries the token: `github_auth_style`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AuthStyle {
    Bearer,
    ApiKey,
}

impl AuthStyle {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "bearer" => Some(Self::Bearer),
            "api-key" => Some(Self::ApiKey),
            _ => None,
        }
    }

    fn header(self, token: &str) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Bearer => (header::AUTHORIZATION, format!("Bearer {token}")),
            Self::ApiKey => (HeaderName::from_static("api-key"), token.to_owned()),
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_has_its_header_and_hides_the_token() {
        let (name, value) = AuthStyle::Bearer.header("s3cret").expect("a header");
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", b"Bearer s3cret".as_slice())
        );
        let (name, value) = AuthStyle::ApiKey.header("s3cret").expect("a header");
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("api-key", b"s3cret".as_slice())
        );
        assert!(!format!("{value:?}").contains("s3cret"));
        assert_eq!(AuthStyle::Bearer.header("two\nlines"), None);
    }

    #[test]
    fn the_state_key_differs_for_each_setting_and_hides_the_token() {
        let key = |url: &str, name: &str, style: AuthStyle, token: &str| {
            let url = url.parse().expect("a URL");
            state_key(&url, name, &style.header(token).expect("a header"))
        };
        let url = "https://models.example/v1";
        let keys = [
            key(url, "small", AuthStyle::Bearer, "s3cret"),
            key(
                "https://models.example/v2",
                "small",
                AuthStyle::Bearer,
                "s3cret",
            ),
            key(url, "large", AuthStyle::Bearer, "s3cret"),
            key(url, "small", AuthStyle::ApiKey, "s3cret"),
            key(url, "small", AuthStyle::Bearer, "s3cret2"),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(!one.contains("s3cret") && one.len() > 30, "{one}");
            assert!(!keys[..index].contains(one), "{keys:?}");
        }
        assert_eq!(key(url, "small", AuthStyle::Bearer, "s3cret"), keys[0]);
    }

    #[test]
    fn parses_the_lifetime_of_cached_marks() {
        assert_eq!(parse_ttl("off"), Some(None));
        assert_eq!(parse_ttl("90s"), Some(Some(Duration::from_secs(90))));
        for bad in ["", "0d", "never", "3651d"] {
            assert_eq!(parse_ttl(bad), None, "{bad}");
        }
    }

    #[test]
    fn accepts_a_scheme_and_a_host_as_the_address() {
        for good in [
            "https://models.github.ai",
            "http://127.0.0.1:8080",
            "http://localhost:11434/",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "models.github.ai",
            "ftp://models.github.ai",
            "https://models.github.ai/inference",
            "https://",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
