//! What the handlers of this component take from a request besides its body.

use http::header;
use thought_diary::{
    Error,
    http::{FromRequest, Request},
    pg::Uuid,
};

/// Maximum number of characters of a user agent that are stored.
const USER_AGENT_CHARACTERS: usize = 200;

/// The `User-Agent` header, cut to [`USER_AGENT_CHARACTERS`].
pub struct UserAgent(pub Option<String>);

impl FromRequest for UserAgent {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        let value = request.headers().get(header::USER_AGENT);
        Ok(Self(value.map(|value| shortened(value.as_bytes()))))
    }
}

fn shortened(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().take(USER_AGENT_CHARACTERS).collect()
}

/// `sessions.id`, from the request's path.
pub struct SessionId(pub Uuid);

impl FromRequest for SessionId {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        // No session has an id that is not a UUID.
        Uuid::parse(request.parameter())
            .map(Self)
            .ok_or(Error::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_user_agents_by_characters() {
        assert_eq!(shortened(b"curl/8.0"), "curl/8.0");
        assert_eq!(shortened("ä".repeat(201).as_bytes()), "ä".repeat(200));
        assert_eq!(shortened(b"a\xff"), "a\u{fffd}");
    }
}
