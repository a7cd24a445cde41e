//! A client of the hashing component. It is called in a slot only, see [`crate::slots`].

use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use thought_diary::{
    Error,
    config::Secret,
    hashing::{HashRequest, Hashed, Verification, VerifyRequest},
    http::{Context, post_json},
    timeout::timeout,
};

const HASH_URL: &str = "http://hashing.spin.internal/hash";
const VERIFY_URL: &str = "http://hashing.spin.internal/verify";

/// Timeout of a response. While Redis is unreachable, each instance hashes one password at a time, and these hashes
/// share the cores.
const TIMEOUT: Duration = Duration::from_secs(7);

/// Maximum length of a response, in bytes. A hash has about 97 characters.
const RESPONSE_LIMIT: usize = 4096;

/// Hashes a password. Returns a PHC string of about 97 characters.
///
/// # Errors
/// `service_unavailable` when the component fails.
pub async fn hash(context: &Context, password: &str) -> Result<String, Error> {
    let password = password.to_owned();
    let Hashed { hash } = call(context, HASH_URL, &HashRequest { password }).await?;
    Ok(hash)
}

/// Verifies a password against the hash of an account; see [`VerifyRequest`].
///
/// # Errors
/// As [`hash`].
pub async fn verify(
    context: &Context,
    password: &Secret,
    stored: Option<&str>,
    any_bcrypt_hash: Option<&str>,
) -> Result<Verification, Error> {
    let body = VerifyRequest {
        password: password.expose().to_owned(),
        stored: stored.map(str::to_owned),
        any_bcrypt_hash: any_bcrypt_hash.map(str::to_owned),
    };
    call(context, VERIFY_URL, &body).await
}

async fn call<T: DeserializeOwned>(
    context: &Context,
    url: &'static str,
    body: &impl Serialize,
) -> Result<T, Error> {
    let response = timeout(TIMEOUT, post(context, url, body)).await.flatten();
    response.ok_or_else(|| {
        Error::Unavailable("the hashing component is unreachable or too slow".into())
    })
}

/// Returns `None` when there is no usable response. If the component has failed, it has logged the reason.
async fn post<T: DeserializeOwned>(
    context: &Context,
    url: &'static str,
    body: &impl Serialize,
) -> Option<T> {
    let response = post_json(context, url, body).await.ok()?;
    if response.status != StatusCode::OK {
        return None;
    }
    let body = response.body(RESPONSE_LIMIT).await.ok()?;
    serde_json::from_slice(&body).ok()
}
