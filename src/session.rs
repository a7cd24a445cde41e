//! Sessions and their tokens.
//!
//! A login creates a row of `sessions`, and its two tokens carry the row's id.
//! A token that is verified here is not yet authorized: the statement that does
//! the work checks [`SESSION_IS_ACTIVE`], so that a logout takes effect at once
//! on every instance.

use std::{borrow::Cow, sync::OnceLock};

use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use http::header;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode,
    errors::{Error as JwtError, ErrorKind},
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    config,
    digest::hex,
    error::Error,
    hs256,
    http::{FromRequest, Request},
    pg::{Statement, Uuid},
};

/// Lifetime of an access token, in seconds.
pub const ACCESS_TTL: i64 = 15 * 60;

/// Lifetime of a refresh token and of its session, in seconds.
pub const REFRESH_TTL: i64 = 7 * 24 * 60 * 60;

/// Minimum length of the key, in bytes: the output size of SHA-256, as RFC 7518 requires for HS256.
const MIN_KEY_BYTES: usize = 32;

/// The SQL condition under which a session is active. It takes the parameters
/// of [`Session::statement`]; where it holds, `$user_id` is the session's user.
pub const SESSION_IS_ACTIVE: &str = "session_is_active($session_id, $user_id)";

/// The kinds of token that a session has. Neither is accepted in place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// For every route except refreshing. Lives for [`ACCESS_TTL`].
    Access,
    /// For refreshing only. Lives for [`REFRESH_TTL`].
    Refresh,
}

impl TokenKind {
    fn ttl(self) -> i64 {
        match self {
            Self::Access => ACCESS_TTL,
            Self::Refresh => REFRESH_TTL,
        }
    }
}

/// The session named by a token. As a handler's parameter, it requires a valid access token.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `sessions.id`.
    pub id: Uuid,
    /// `users.id`.
    pub user_id: i32,
}

impl Session {
    /// Creates a statement with the parameters `$session_id` and `$user_id`.
    pub fn statement(&self, sql: impl Into<Cow<'static, str>>) -> Statement {
        Statement::new(sql)
            .bind("session_id", &self.id)
            .bind("user_id", self.user_id)
    }
}

impl FromRequest for Session {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        authenticate(request, TokenKind::Access).await
    }
}

/// The session named by a refresh token. As a handler's parameter, it requires one.
pub struct RefreshSession(pub Session);

impl FromRequest for RefreshSession {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        authenticate(request, TokenKind::Refresh).await.map(Self)
    }
}

/// Verifies the request's bearer token.
///
/// # Errors
/// `unauthorized` without a token, `token_expired`, and `token_invalid` for any other fault of the token.
async fn authenticate(request: &Request, kind: TokenKind) -> Result<Session, Error> {
    let keys = Keys::get().await?;
    let session = keys.verify(bearer_token(request.headers())?, kind)?;
    request.context().set_user_id(session.user_id);
    Ok(session)
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user's id as text: RFC 7519 requires a string.
    sub: String,
    /// The session's id.
    sid: String,
    #[serde(rename = "type")]
    kind: TokenKind,
    iat: i64,
    exp: i64,
}

/// The key that signs and verifies tokens and derives digests. Its `Debug` hides it.
pub struct Keys {
    mac: Hmac<Sha256>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Returns the keys of this instance, from the variable `jwt_secret_key`.
    ///
    /// # Errors
    /// `service_unavailable` when the variable is shorter than 32 bytes.
    pub async fn get() -> Result<&'static Self, Error> {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        let load = config::parsed("jwt_secret_key", "at least 32 bytes long", Self::new);
        config::once(&KEYS, load).await
    }

    fn new(key: &str) -> Option<Self> {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let mac = Hmac::new_from_slice(key.as_bytes()).ok()?;
        (key.len() >= MIN_KEY_BYTES).then(|| Self {
            mac,
            encoding: EncodingKey::from_secret(key.as_bytes()),
            decoding: DecodingKey::from_secret(key.as_bytes()),
            validation,
        })
    }

    /// Returns the HMAC-SHA256 of `text`, hex-encoded. Equal texts have different digests for different purposes.
    ///
    /// A digest cannot be a token's signature: its input contains a NUL, which the signed part of a token never does.
    pub fn digest(&self, purpose: &str, text: &str) -> String {
        let mac = self
            .mac
            .clone()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(text);
        hex(mac)
    }

    /// Signs a token for a session.
    ///
    /// # Errors
    /// `internal_error` when signing fails.
    pub fn sign(&self, session: &Session, kind: TokenKind) -> Result<String, Error> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            sub: session.user_id.to_string(),
            sid: session.id.as_str().to_owned(),
            kind,
            iat: now,
            exp: now + kind.ttl(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| Error::Internal("a token could not be signed".into()))
    }

    fn verify(&self, token: &str, kind: TokenKind) -> Result<Session, Error> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error: JwtError| match error.kind() {
                ErrorKind::ExpiredSignature => Error::TokenExpired,
                _ => Error::TokenInvalid,
            })?
            .claims;
        if claims.kind != kind {
            return Err(Error::TokenInvalid);
        }
        Ok(Session {
            id: Uuid::parse(&claims.sid).ok_or(Error::TokenInvalid)?,
            user_id: claims.sub.parse().map_err(|_| Error::TokenInvalid)?,
        })
    }
}

/// Returns the token of `Authorization: Bearer …`. Two such headers are ambiguous and therefore invalid.
///
/// # Errors
/// `unauthorized` without a token, `token_invalid` when it is ambiguous or not text.
pub fn bearer_token(headers: &http::HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Unauthorized)?;
    if values.next().is_some() {
        return Err(Error::TokenInvalid);
    }
    let (scheme, token) = value
        .to_str()
        .map_err(|_| Error::TokenInvalid)?
        .trim()
        .split_once(' ')
        .ok_or(Error::Unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::Unauthorized);
    }
    Ok(token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn session() -> Session {
        Session {
            id: Uuid::parse("018f4e9e-0000-4000-8000-000000000001").expect("a UUID"),
            user_id: 7,
        }
    }

    fn keys() -> Keys {
        Keys::new(KEY).expect("the key is long enough")
    }

    fn signed_by_hand(change: impl FnOnce(&mut Claims)) -> String {
        hs256::install();
        let now = Utc::now().timestamp();
        let mut claims = Claims {
            sub: "7".into(),
            sid: session().id.as_str().to_owned(),
            kind: TokenKind::Access,
            iat: now,
            exp: now + 60,
        };
        change(&mut claims);
        encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(KEY.as_bytes()),
        )
        .expect("signs")
    }

    #[test]
    fn verifies_its_own_tokens() {
        let token = keys().sign(&session(), TokenKind::Access).expect("signs");
        assert_eq!(keys().verify(&token, TokenKind::Access), Ok(session()));
    }

    #[test]
    fn rejects_a_token_of_the_other_kind() {
        let access = keys().sign(&session(), TokenKind::Access).expect("signs");
        let refresh = keys().sign(&session(), TokenKind::Refresh).expect("signs");
        assert_eq!(
            keys().verify(&access, TokenKind::Refresh),
            Err(Error::TokenInvalid)
        );
        assert_eq!(
            keys().verify(&refresh, TokenKind::Access),
            Err(Error::TokenInvalid)
        );
    }

    #[test]
    fn rejects_a_token_that_expired_a_second_ago() {
        let token = signed_by_hand(|claims| {
            claims.exp = Utc::now().timestamp() - 1;
        });
        assert_eq!(
            keys().verify(&token, TokenKind::Access),
            Err(Error::TokenExpired)
        );
    }

    #[test]
    fn rejects_other_algorithms_and_claims() {
        // {"alg":"HS512"} and {"alg":"none"} instead of the real header.
        let good = signed_by_hand(|_| {});
        let claims_and_signature = &good[good.find('.').expect("a JWT")..];
        let other = format!("eyJhbGciOiJIUzUxMiJ9{claims_and_signature}");
        let none = format!("eyJhbGciOiJub25lIn0{claims_and_signature}");
        let no_user = signed_by_hand(|claims| {
            claims.sub = "admin".into();
        });
        let no_session = signed_by_hand(|claims| {
            claims.sid = "1".into();
        });
        for token in [other.as_str(), &none, &no_user, &no_session, "", "a.b.c"] {
            assert_eq!(
                keys().verify(token, TokenKind::Access),
                Err(Error::TokenInvalid),
                "{token}"
            );
        }
    }

    #[test]
    fn rejects_short_keys() {
        assert!(Keys::new(&KEY[1..]).is_none());
    }

    #[test]
    fn requires_exactly_one_bearer_token() {
        let headers = |values: &[&'static str]| {
            let mut map = http::HeaderMap::new();
            for value in values {
                map.append("authorization", http::HeaderValue::from_static(value));
            }
            map
        };
        assert_eq!(bearer_token(&headers(&["bearer  t"])), Ok("t"));
        assert_eq!(bearer_token(&headers(&[])), Err(Error::Unauthorized));
        assert_eq!(
            bearer_token(&headers(&["Basic dTpw"])),
            Err(Error::Unauthorized)
        );
        assert_eq!(
            bearer_token(&headers(&["Bearer a", "Bearer b"])),
            Err(Error::TokenInvalid)
        );
    }
}
