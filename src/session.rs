//! Logins and their tokens.
//!
//! A login is a row of `sessions`; the tokens only carry its id. A token that
//! verifies here is therefore not yet good: the statement that does the work
//! asks whether it is [`LIVE`], so that a logout holds at once on every instance.

use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use http::header;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode,
    errors::{Error as JwtError, ErrorKind},
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use spin_sdk::pg::ParameterValue;

use crate::{Error, Request, config, digest::hex, hs256};

/// Seconds an access token lives.
pub const ACCESS_TTL: i64 = 15 * 60;

/// Seconds a refresh token, and so a login, lives.
pub const REFRESH_TTL: i64 = 7 * 24 * 60 * 60;

/// Bytes that HS256 needs of a key.
const KEY_BYTES: usize = 32;

/// The condition under which a login of `sessions` still lives. Every protected
/// statement has it; its parameters are `$1`, the login, and `$2`, the user,
/// from [`Session::parameters`]. Where it holds, `$2` may be relied upon.
pub const LIVE: &str = "sessions.id = $1 and sessions.user_id = $2 and sessions.expires_at > now()";

/// Which of a login's two tokens this is. Neither is accepted in the other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// For everything but refreshing; lives [`ACCESS_TTL`].
    Access,
    /// For refreshing only; lives [`REFRESH_TTL`].
    Refresh,
}

impl Kind {
    fn ttl(self) -> i64 {
        match self {
            Self::Access => ACCESS_TTL,
            Self::Refresh => REFRESH_TTL,
        }
    }
}

/// What a token says: whose login it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `sessions.id`, a UUID in its textual form.
    pub id: String,
    /// `users.id`.
    pub user_id: i32,
}

impl Session {
    /// The parameters `$1` and `$2` of [`LIVE`], followed by the statement's own.
    pub fn parameters(&self, own: impl IntoIterator<Item = ParameterValue>) -> Vec<ParameterValue> {
        [
            ParameterValue::Uuid(self.id.clone()),
            ParameterValue::Int32(self.user_id),
        ]
        .into_iter()
        .chain(own)
        .collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user, as text: RFC 7519 wants a string.
    sub: String,
    /// The login.
    sid: String,
    #[serde(rename = "type")]
    kind: Kind,
    iat: i64,
    exp: i64,
}

/// The key that signs and verifies tokens, and makes digests; its `Debug` says nothing.
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
    /// Reads the variable `jwt_secret_key`.
    ///
    /// # Errors
    /// `service_unavailable` when it is shorter than 32 bytes.
    pub async fn from_variable() -> Result<Self, Error> {
        config::parsed("jwt_secret_key", "at least 32 bytes long", Self::new).await
    }

    fn new(key: &str) -> Option<Self> {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let mac = Hmac::new_from_slice(key.as_bytes()).ok()?;
        (key.len() >= KEY_BYTES).then(|| Self {
            mac,
            encoding: EncodingKey::from_secret(key.as_bytes()),
            decoding: DecodingKey::from_secret(key.as_bytes()),
            validation,
        })
    }

    /// A keyed digest of `text` in hexadecimal, which tells nothing about it to
    /// who does not have the key. Each `purpose` has digests of its own, and none of them signs a token: those hold no NUL.
    pub fn digest(&self, purpose: &str, text: &str) -> String {
        let mac = self
            .mac
            .clone()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(text);
        hex(mac)
    }

    /// Signs a token for a login.
    ///
    /// # Errors
    /// `internal_error` when signing fails.
    pub fn sign(&self, session: &Session, kind: Kind) -> Result<String, Error> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            sub: session.user_id.to_string(),
            sid: session.id.clone(),
            kind,
            iat: now,
            exp: now + kind.ttl(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| Error::Internal("a token could not be signed".into()))
    }

    /// Reads the request's bearer token.
    ///
    /// # Errors
    /// `unauthorized` without one, `token_expired`, and `token_invalid` for everything else that is wrong with it.
    pub fn bearer(&self, request: &Request, kind: Kind) -> Result<Session, Error> {
        self.verify(bearer_token(request.headers())?, kind)
    }

    fn verify(&self, token: &str, kind: Kind) -> Result<Session, Error> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error: JwtError| match error.kind() {
                ErrorKind::ExpiredSignature => Error::TokenExpired,
                _ => Error::TokenInvalid,
            })?
            .claims;
        if claims.kind != kind || !is_uuid(&claims.sid) {
            return Err(Error::TokenInvalid);
        }
        Ok(Session {
            user_id: claims.sub.parse().map_err(|_| Error::TokenInvalid)?,
            id: claims.sid,
        })
    }
}

/// The one token of `Authorization: Bearer …`. Two such headers are ambiguous, so neither counts.
///
/// # Errors
/// `unauthorized` without one, `token_invalid` where it is ambiguous or no text.
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

/// Postgres would refuse anything else with an error of its own.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn session() -> Session {
        Session {
            id: "018f4e9e-0000-4000-8000-000000000001".into(),
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
            sid: session().id,
            kind: Kind::Access,
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
    fn a_token_leads_back_to_its_login() {
        let token = keys().sign(&session(), Kind::Access).expect("signs");
        assert_eq!(keys().verify(&token, Kind::Access), Ok(session()));
    }

    #[test]
    fn a_token_is_not_accepted_as_the_other_kind() {
        let access = keys().sign(&session(), Kind::Access).expect("signs");
        let refresh = keys().sign(&session(), Kind::Refresh).expect("signs");
        assert_eq!(
            keys().verify(&access, Kind::Refresh),
            Err(Error::TokenInvalid)
        );
        assert_eq!(
            keys().verify(&refresh, Kind::Access),
            Err(Error::TokenInvalid)
        );
    }

    #[test]
    fn an_expired_token_says_so_to_the_second() {
        let token = signed_by_hand(|claims| {
            claims.exp = Utc::now().timestamp() - 1;
        });
        assert_eq!(
            keys().verify(&token, Kind::Access),
            Err(Error::TokenExpired)
        );
    }

    #[test]
    fn other_algorithms_and_claims_are_refused() {
        // {"alg":"HS512"} and {"alg":"none"} in place of the true header.
        let good = signed_by_hand(|_| {});
        let claims_and_signature = &good[good.find('.').expect("a JWT")..];
        let other = format!("eyJhbGciOiJIUzUxMiJ9{claims_and_signature}");
        let none = format!("eyJhbGciOiJub25lIn0{claims_and_signature}");
        let no_user = signed_by_hand(|claims| {
            claims.sub = "admin".into();
        });
        let no_login = signed_by_hand(|claims| {
            claims.sid = "1".into();
        });
        for token in [other.as_str(), &none, &no_user, &no_login, "", "a.b.c"] {
            assert_eq!(
                keys().verify(token, Kind::Access),
                Err(Error::TokenInvalid),
                "{token}"
            );
        }
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(Keys::new(&KEY[1..]).is_none());
    }

    #[test]
    fn exactly_one_bearer_token_is_read() {
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
