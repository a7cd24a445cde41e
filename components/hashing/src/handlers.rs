//! Request handlers.

use http::StatusCode;
use thought_diary::{
    Error, Response,
    hashing::{HashRequest, Hashed, Verification, VerifyRequest},
    http::{Body, Context},
    response::json,
};

use crate::password::{self, Verdict};

/// `POST /hash`
pub async fn hash(context: Context, body: Body) -> Result<Response, Error> {
    context.do_not_count();
    let HashRequest { password } = body.json().await?;
    let hash = password::hash(&password)?;
    Ok(json(StatusCode::OK, &Hashed { hash }))
}

/// `POST /verify`
pub async fn verify(context: Context, body: Body) -> Result<Response, Error> {
    context.do_not_count();
    let VerifyRequest {
        password,
        stored,
        any_bcrypt_hash,
    } = body.json().await?;
    let verdict = password::verify(&password, stored.as_deref(), any_bcrypt_hash.as_deref())?;
    let new_hash = (verdict == Verdict::ValidNeedsRehash)
        .then(|| password::hash(&password))
        .transpose()?;
    let is_valid = verdict != Verdict::Invalid;
    Ok(json(StatusCode::OK, &Verification { is_valid, new_hash }))
}
