//! The settings of this component.

use std::{sync::OnceLock, time::Duration};

use http::{HeaderName, HeaderValue, Uri, header};
use thought_diary::{
    Error,
    config::{milliseconds, once, parsed, variable},
};

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
        let token = variable("github_token").await?;
        if token.is_empty() {
            return Ok(None);
        }
        let auth = style.header(&token).ok_or_else(|| {
            Error::misconfigured("github_token", "holds characters that no header can carry")
        })?;
        let name = parsed("github_model_name", "the name of a model", |name| {
            (!name.is_empty()).then(|| name.to_owned())
        })
        .await?;
        Ok(Some(Self {
            url,
            name,
            auth,
            timeout,
        }))
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
