//! A secret key that signs tokens and derives digests.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    DecodingKey, EncodingKey, Header, TokenData, Validation, decode, encode, errors::ErrorKind,
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

use crate::{digest::hex, error::Error, hs256};

/// Minimum length of a key, in bytes: the output size of SHA-256, as RFC 7518 requires for HS256.
const MIN_BYTES: usize = 32;

/// Number of hexadecimal digits of a key's id.
const ID_DIGITS: usize = 8;

/// A secret key.
pub struct Key {
    id: String,
    mac: Hmac<Sha256>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    /// Creates a key. Returns `None` if `secret` is too short.
    pub fn new(secret: &str) -> Option<Self> {
        hs256::install();
        let mac = Hmac::new_from_slice(secret.as_bytes()).ok()?;
        (secret.len() >= MIN_BYTES).then(|| Self {
            id: digest(&mac, "kid", "").chars().take(ID_DIGITS).collect(),
            mac,
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        })
    }

    /// Returns the `kid` header of this key's tokens. It is derived from the
    /// secret, so that all replicas agree on it without a setting.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the HMAC-SHA256 of `text`, hex-encoded. Equal texts have different digests for different purposes.
    pub fn digest(&self, purpose: &str, text: &str) -> String {
        digest(&self.mac, purpose, text)
    }

    /// Signs a token.
    ///
    /// # Errors
    /// `internal_error` when signing fails.
    pub fn encode(&self, header: &Header, claims: &impl Serialize) -> Result<String, Error> {
        encode(header, claims, &self.encoding)
            .map_err(|_| Error::Internal("a token could not be signed".into()))
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// `token_expired`, and `token_invalid` for any other fault.
    pub fn decode<T: DeserializeOwned>(
        &self,
        token: &str,
        validation: &Validation,
    ) -> Result<TokenData<T>, Error> {
        decode(token, &self.decoding, validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Error::TokenExpired,
            _ => Error::TokenInvalid,
        })
    }
}

/// A digest cannot be a token's signature: its input contains a NUL, which the signed part of a token never does.
fn digest(mac: &Hmac<Sha256>, purpose: &str, text: &str) -> String {
    let mac = mac.clone();
    hex(mac
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn rejects_short_secrets() {
        assert!(Key::new(SECRET).is_some());
        assert!(Key::new(&SECRET[1..]).is_none());
    }

    #[test]
    fn ids_have_eight_digits_and_differ() {
        let id = |secret: &str| Key::new(secret).map(|key| key.id().to_owned());
        let other = SECRET.to_uppercase();
        assert_eq!(id(SECRET).map(|id| id.len()), Some(ID_DIGITS));
        assert_eq!(id(SECRET), id(SECRET));
        assert_ne!(id(SECRET), id(&other));
    }
}
