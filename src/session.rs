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
        Keys::new(key(KEY), None)
    }

    fn key(text: &str) -> Key {
        Key::new(text).expect("the key is long enough")
    }

    /// Keys after a rotation: the first signs, and both verify.
    fn rotated(current: &str, previous: &str) -> Keys {
        Keys::new(key(current), Some(key(previous)))
    }

    /// Signs an access token that `change` makes invalid.
    fn signed_by_hand(change: impl FnOnce(&mut Header, &mut Claims)) -> String {
        let now = Utc::now().timestamp();
        let mut header = Header {
            typ: Some("at+jwt".into()),
            ..Header::default()
        };
        let mut claims = Claims {
            iss: SERVICE.into(),
            aud: SERVICE.into(),
            sub: "7".into(),
            sid: session().id.as_str().to_owned(),
            iat: now,
            exp: now + 60,
        };
        change(&mut header, &mut claims);
        key(KEY).encode(&header, &claims).expect("signs")
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
        let token = signed_by_hand(|_, claims| {
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
        let good = signed_by_hand(|_, _| {});
        let claims_and_signature = &good[good.find('.').expect("a JWT")..];
        let other = format!("eyJhbGciOiJIUzUxMiJ9{claims_and_signature}");
        let none = format!("eyJhbGciOiJub25lIn0{claims_and_signature}");
        let no_user = signed_by_hand(|_, claims| {
            claims.sub = "admin".into();
        });
        let no_session = signed_by_hand(|_, claims| {
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
    fn rejects_tokens_of_other_services_and_types() {
        let by_hand = signed_by_hand(|_, _| {});
        assert_eq!(keys().verify(&by_hand, TokenKind::Access), Ok(session()));
        for token in [
            signed_by_hand(|header, _| header.typ = None),
            signed_by_hand(|header, _| header.typ = Some("JWT".into())),
            signed_by_hand(|_, claims| claims.iss = "other".into()),
            signed_by_hand(|_, claims| claims.aud = "other".into()),
        ] {
            assert_eq!(
                keys().verify(&token, TokenKind::Access),
                Err(Error::TokenInvalid),
                "{token}"
            );
        }
    }

    #[test]
    fn a_rotation_keeps_every_token_valid_on_every_replica() {
        let (old, new) = (KEY, "fedcba9876543210fedcba9876543210");
        // The steps that the operator's guide names. During each step some
        // replicas have the keys before it and some those after it.
        let steps = [
            Keys::new(key(old), None),
            rotated(old, new),
            rotated(new, old),
        ];
        for step in steps.windows(2) {
            for (signer, verifier) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let token = step[signer].sign(&session(), TokenKind::Refresh);
                let verified = step[verifier].verify(&token.expect("signs"), TokenKind::Refresh);
                assert_eq!(verified, Ok(session()));
            }
        }
        let retired = keys().sign(&session(), TokenKind::Access).expect("signs");
        let last = Keys::new(key(new), None);
        assert_eq!(
            last.verify(&retired, TokenKind::Access),
            Err(Error::TokenInvalid)
        );
    }

    #[test]
    fn tries_every_key_for_an_unknown_key_id() {
        for kid in [None, Some("00000000".to_owned())] {
            let token = signed_by_hand(|header, _| header.kid = kid);
            let keys = rotated("fedcba9876543210fedcba9876543210", KEY);
            assert_eq!(keys.verify(&token, TokenKind::Access), Ok(session()));
        }
    }

    #[test]
    fn reports_the_expiry_of_a_token_of_the_previous_key() {
        let token = signed_by_hand(|_, claims| claims.exp = Utc::now().timestamp() - 1);
        let keys = rotated("fedcba9876543210fedcba9876543210", KEY);
        assert_eq!(
            keys.verify(&token, TokenKind::Access),
            Err(Error::TokenExpired)
        );
    }
}
