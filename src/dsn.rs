//! Where events go that are reported to Sentry.

use http::{HeaderValue, Uri};
use url::Url;

/// The address of a project: `sentry_dsn`. Its `Debug` hides the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Dsn {
    /// The address to which envelopes are posted.
    pub url: Uri,
    /// The value of `X-Sentry-Auth`, which contains the project's public key.
    pub authorization: HeaderValue,
}

impl Dsn {
    /// Parses `https://key@host/project`. The path may have segments before the project's number.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let key = url.username();
        let (prefix, project) = url.path().rsplit_once('/')?;
        let is_valid = matches!(url.scheme(), "http" | "https")
            && url.password().is_none()
            && is_made_of(key, |byte| byte.is_ascii_alphanumeric())
            && is_made_of(project, |byte| byte.is_ascii_digit());
        if !is_valid {
            return None;
        }
        let origin = url.origin().ascii_serialization();
        let client = concat!("thought-diary/", env!("CARGO_PKG_VERSION"));
        let authorization =
            format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={key}");
        let mut authorization = HeaderValue::try_from(authorization).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            url: format!("{origin}{prefix}/api/{project}/envelope/")
                .parse()
                .ok()?,
            authorization,
        })
    }
}

fn is_made_of(text: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_the_address_of_envelopes() {
        for (dsn, url) in [
            (
                "https://0a1b2c@o7.ingest.sentry.example/42",
                "https://o7.ingest.sentry.example/api/42/envelope/",
            ),
            (
                "http://0a1b2c@127.0.0.1:9000/errors/42",
                "http://127.0.0.1:9000/errors/api/42/envelope/",
            ),
        ] {
            let dsn = Dsn::parse(dsn).expect("valid");
            assert_eq!(dsn.url, url);
            let value = dsn.authorization.to_str().expect("text");
            assert!(value.ends_with(", sentry_key=0a1b2c"), "{value}");
            assert!(!format!("{dsn:?}").contains("0a1b2c"));
        }
    }

    #[test]
    fn rejects_what_is_not_a_dsn() {
        for bad in [
            "",
            "sentry.example/42",
            "https://sentry.example/42",
            "https://key@sentry.example/",
            "https://key@sentry.example/project",
            "https://key:secret@sentry.example/42",
            "https://k%20y@sentry.example/42",
            "redis://key@sentry.example/42",
        ] {
            assert_eq!(Dsn::parse(bad), None, "{bad}");
        }
    }
}
