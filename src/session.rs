//! Sessions and their tokens.
//!
//! A login creates a row of `sessions`, and its two tokens carry the row's id.
//! A token that is verified here is not yet authorized: the statement that does
//! the work checks [`SESSION_IS_ACTIVE`], so that a logout takes effect at once
//! on every instance.

use std::{borrow::Cow, sync::OnceLock};

use chrono::Utc;
use jsonwebtoken::{Algorithm, Header, TokenData, Validation, decode_header};
use serde::{Deserialize, Serialize};

pub use crate::http::bearer_token;
use crate::{
    config,
    error::Error,
    http::{FromRequest, Request},
    key::Key,
    pg::{Statement, Uuid},
};

/// Lifetime of an access token, in seconds.
pub const ACCESS_TTL: i64 = 15 * 60;

/// Lifetime of a refresh token and of its session, in seconds.
pub const REFRESH_TTL: i64 = 7 * 24 * 60 * 60;

/// The issuer and the audience of every token: both are this service. A token
/// that another service signed with the same key is invalid (RFC 8725, 3.8 and 3.9).
const SERVICE: &str = "thought-diary";

/// The SQL condition under which a session is active. It takes the parameters
/// of [`Session::statement`]; where it holds, `$user_id` is the session's user.
pub const SESSION_IS_ACTIVE: &str = "session_is_active($session_id, $user_id)";

/// The kinds of token that a session has. Neither is accepted in place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// For every route except refreshing. Lives for [`ACCESS_TTL`].
    Access,
    /// For refreshing only. Lives for [`REFRESH_TTL`].
    Refresh,
}

impl TokenKind {
    /// Returns the token's `typ` header, which distinguishes the kinds (RFC 8725, 3.11).
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }

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
    iss: Cow<'static, str>,
    aud: Cow<'static, str>,
    /// The user's id as text: RFC 7519 requires a string.
    sub: String,
    /// The session's id.
    sid: String,
    iat: i64,
    exp: i64,
}

/// The keys that sign and verify tokens and derive digests. Its `Debug` hides them.
pub struct Keys {
    /// Signs, verifies and derives digests.
    current: Key,
    /// Verifies only.
    previous: Option<Key>,
    validation: Validation,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Returns the keys of this instance, from the variables `jwt_secret_key` and `jwt_previous_secret_key`.
    ///
    /// # Errors
    /// `service_unavailable` when a key is shorter than 32 bytes.
    pub async fn get() -> Result<&'static Self, Error> {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        config::once(&KEYS, Self::load()).await
    }

    async fn load() -> Result<Self, Error> {
        let current = config::parsed("jwt_secret_key", "at least 32 bytes long", Key::new);
        let previous = config::parsed(
            "jwt_previous_secret_key",
            "empty or at least 32 bytes long",
            |key| match key {
                "" => Some(None),
                key => Key::new(key).map(Some),
            },
        );
        Ok(Self::new(current.await?, previous.await?))
    }

    fn new(current: Key, previous: Option<Key>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        validation.set_issuer(&[SERVICE]);
        validation.set_audience(&[SERVICE]);
        Self {
            current,
            previous,
            validation,
        }
    }

    /// Returns the HMAC-SHA256 of `text`, hex-encoded. Equal texts have different digests for different purposes.
    pub fn digest(&self, purpose: &str, text: &str) -> String {
        self.current.digest(purpose, text)
    }

    /// Returns what [`Keys::digest`] returned before or after a replacement of the keys, while both are set.
    pub fn previous_digest(&self, purpose: &str, text: &str) -> Option<String> {
        let previous = self.previous.as_ref()?;
        Some(previous.digest(purpose, text))
    }

    /// Signs a token for a session.
    ///
    /// # Errors
    /// `internal_error` when signing fails.
    pub fn sign(&self, session: &Session, kind: TokenKind) -> Result<String, Error> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            iss: SERVICE.into(),
            aud: SERVICE.into(),
            sub: session.user_id.to_string(),
            sid: session.id.as_str().to_owned(),
            iat: now,
            exp: now + kind.ttl(),
        };
        let header = Header {
            typ: Some(kind.typ().into()),
            kid: Some(self.current.id().to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        self.current.encode(&header, &claims)
    }

    fn verify(&self, token: &str, kind: TokenKind) -> Result<Session, Error> {
        let TokenData { header, claims, .. } = self.decode(token)?;
        if header.typ.as_deref() != Some(kind.typ()) {
            return Err(Error::TokenInvalid);
        }
        Ok(Session {
            id: Uuid::parse(&claims.sid).ok_or(Error::TokenInvalid)?,
            user_id: claims.sub.parse().map_err(|_| Error::TokenInvalid)?,
        })
    }

    /// Verifies the signature, the times, the issuer and the audience.
    fn decode(&self, token: &str) -> Result<TokenData<Claims>, Error> {
        let header = decode_header(token).map_err(|_| Error::TokenInvalid)?;
        let decode = |key: &Key| key.decode::<Claims>(token, &self.validation);
        let previous = self.previous.as_ref();
        if let Some(key) = previous.filter(|key| header.kid.as_deref() == Some(key.id())) {
            return decode(key);
        }
        match (decode(&self.current), previous) {
            // A token without a known `kid` may have either key.
            (Err(Error::TokenInvalid), Some(key)) => decode(key),
            (result, _) => result,
        }
    }
}

#[cfg(test)]
mod tests;
