//! Conditional and idempotent requests: `If-Match`, `If-None-Match` and `Idempotency-Key`.

use http::{HeaderName, HeaderValue, StatusCode, header};
use thought_diary::{
    Error, Response,
    http::{Context, FromRequest, Request},
    response::{not_modified, raw_json},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Maximum number of characters of an idempotency key.
const MAX_KEY: usize = 255;

/// JSON from the database, and its entity tag without quotes.
pub struct Tagged {
    /// The body of the response.
    pub json: String,
    /// The entity tag.
    pub etag: String,
}

impl Tagged {
    /// Builds a response that carries the entity tag.
    pub fn respond(self, context: &Context, status: StatusCode) -> Response {
        if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", self.etag)) {
            context.set_header(header::ETAG, etag);
        }
        raw_json(status, self.json)
    }

    /// Builds a 200 response, or 304 if the client has this version already.
    pub fn respond_if_changed(self, context: &Context, if_none_match: &IfNoneMatch) -> Response {
        let is_current = if_none_match.matches(&self.etag);
        let response = self.respond(context, StatusCode::OK);
        if is_current { not_modified() } else { response }
    }
}

/// The entity tags of `If-None-Match`.
pub struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    /// Compares weakly: `W/"x"` matches `"x"`.
    fn matches(&self, etag: &str) -> bool {
        self.0.iter().any(|known| {
            let known = known.strip_prefix("W/").unwrap_or(known);
            known == "*" || unquoted(known) == Some(etag)
        })
    }
}

impl FromRequest for IfNoneMatch {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Ok(Self(elements(request, &header::IF_NONE_MATCH)))
    }
}

/// The entity tags of `If-Match`, one of which the entry must have. `None` allows any.
pub struct IfMatch(pub Option<Vec<String>>);

impl FromRequest for IfMatch {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        if !request.headers().contains_key(header::IF_MATCH) {
            return Ok(Self(None));
        }
        let elements = elements(request, &header::IF_MATCH);
        if elements.iter().any(|element| element == "*") {
            return Ok(Self(None));
        }
        // Weak tags are dropped, because If-Match compares strongly.
        let tags = elements.iter().filter_map(|element| unquoted(element));
        Ok(Self(Some(tags.map(str::to_owned).collect())))
    }
}

/// Returns the elements of a header that is a list.
fn elements(request: &Request, name: &HeaderName) -> Vec<String> {
    let values = request.headers().get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|element| element.trim().to_owned())
        .collect()
}

fn unquoted(element: &str) -> Option<&str> {
    element.strip_prefix('"')?.strip_suffix('"')
}

/// The `Idempotency-Key` of a request, if it has one.
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        let mut values = request.headers().get_all(IDEMPOTENCY_KEY).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => str::from_utf8(value.as_bytes()).ok().filter(is_valid_key),
            (Some(_), Some(_)) => None,
        };
        match key {
            Some(key) => Ok(Self(Some(key.to_owned()))),
            None => Err(Error::invalid(
                "Idempotency-Key",
                "must be 1 to 255 printable characters",
            )),
        }
    }
}

fn is_valid_key(key: &&str) -> bool {
    (1..=MAX_KEY).contains(&key.chars().count()) && !key.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_if_none_match_weakly() {
        let matches = |element: &str| IfNoneMatch(vec![element.into()]).matches("a1");
        assert!(matches("\"a1\"") && matches("W/\"a1\"") && matches("*"));
        assert!(!matches("\"a2\"") && !matches("a1") && !matches(""));
    }

    #[test]
    fn accepts_keys_of_printable_characters() {
        assert!(is_valid_key(&"018f4e9e-0000") && is_valid_key(&"\"clé\""));
        assert!(is_valid_key(&"k".repeat(255).as_str()));
        for bad in ["", "a\tb", &"k".repeat(256)] {
            assert!(!is_valid_key(&bad), "{bad:?}");
        }
    }
}
