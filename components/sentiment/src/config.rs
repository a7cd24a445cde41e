//! The settings of this component.

use std::{sync::OnceLock, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Uri, header};
use sha2::Sha256;
use thought_diary::{
    Error,
    config::{Secret, milliseconds, once, parse_duration, parsed, variable},
    digest::hex,
};

/// The longest that marks are kept.
const LONGEST_TTL: Duration = Duration::from_secs(3650 * 86_400);

/// A chat-completions server and how to ask it.
#[derive(Debug)]
pub struct Model {
    /// `github_models_host` and `github_models_path`.
    pub url: Uri,
    /// `github_model_name`.
    pub name: String,
    /// The header that `github_auth_style` asks for, with `github_token`; its `Debug` does not show the token.
    pub auth: (HeaderName, HeaderValue),
    /// `github_timeout_ms`: how long everything may take, up to the last byte of the answer.
    pub timeout: Duration,
    /// `redis_url`.
    pub redis_url: Secret,
    /// `sentiment_cache_ttl`: how long marks are kept; `None` when they are not.
    pub cache_ttl: Option<Duration>,
    /// Under which the instances share in Redis what they know of this model. With any other setting above it is another.
    pub memory_key: String,
}

impl Model {
    /// The model of this instance; `None` when there is no token: then nobody is asked.
    ///
    /// # Errors
    /// `service_unavailable` when a variable makes no sense.
    pub async fn get() -> Result<Option<&'static Self>, Error> {
        static MODEL: OnceLock<Option<Model>> = OnceLock::new();
        Ok(once(&MODEL, Self::load()).await?.as_ref())
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
        let token = variable("github_token").await?;
        if token.is_empty() {
            return Ok(None);
        }
        let auth = style.header(&token).ok_or_else(|| {
            Error::invalid_setting("github_token", "holds characters that no header can carry")
        })?;
        let name = parsed("github_model_name", "the name of a model", |name| {
            (!name.is_empty()).then(|| name.to_owned())
        })
        .await?;
        Ok(Some(Self {
            memory_key: memory_key(&url, &name, &auth),
            url,
            name,
            auth,
            timeout,
            redis_url: Secret::new(variable("redis_url").await?),
            cache_ttl,
        }))
    }
}

/// Tells settings apart without telling the token, which is the key of the digest.
fn memory_key(url: &Uri, name: &str, (header, token): &(HeaderName, HeaderValue)) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(token.as_bytes());
    let digest = mac.map(|mac| {
        let mac = mac.chain_update(url.to_string()).chain_update([0]);
        hex(mac
            .chain_update(name)
            .chain_update([0])
            .chain_update(header))
    });
    let digest = digest.unwrap_or_default();
    // One slot of a Redis cluster with the marks.
    format!(
        "{{sentiment}}:model:{}",
        digest.get(..16).unwrap_or_default()
    )
}

/// `off`, or a time.
fn parse_ttl(value: &str) -> Option<Option<Duration>> {
    match value {
        "off" => Some(None),
        time => parse_duration(time)
            .filter(|ttl| *ttl <= LONGEST_TTL)
            .map(Some),
    }
}

/// A scheme and a host, and perhaps a port, as `allowed_outbound_hosts` takes them.
fn is_address(host: &str) -> bool {
    host.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path() == "/"
            && uri.query().is_none()
    })
}

/// `github_auth_style`.
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
    fn each_style_has_its_header_and_shows_no_token() {
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
    fn every_setting_of_a_model_has_its_own_memory_and_no_token_in_it() {
        let key = |url: &str, name: &str, style: AuthStyle, token: &str| {
            let url = url.parse().expect("a URL");
            memory_key(&url, name, &style.header(token).expect("a header"))
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
    fn marks_are_kept_for_a_time_or_not_at_all() {
        assert_eq!(parse_ttl("off"), Some(None));
        assert_eq!(parse_ttl("90s"), Some(Some(Duration::from_secs(90))));
        for bad in ["", "0d", "never", "3651d"] {
            assert_eq!(parse_ttl(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_is_a_scheme_and_a_host() {
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
