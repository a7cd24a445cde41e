//! The messages between the `auth` and `hashing` components.
//!
//! `auth` posts a [`HashRequest`] to `http://hashing.spin.internal/hash` and receives a [`Hashed`], or a
//! [`VerifyRequest`] to `/verify` and receives a [`Verification`]. Requests contain a password, and therefore do not implement
//! `Debug`.

use serde::{Deserialize, Serialize};

/// The body of `POST /hash`.
#[derive(Serialize, Deserialize)]
pub struct HashRequest {
    /// The password.
    pub password: String,
}

/// The response to a [`HashRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Hashed {
    /// PHC string of argon2id with the current parameters, of about 97 characters.
    pub hash: String,
}

/// The body of `POST /verify`.
#[derive(Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The password.
    pub password: String,
    /// The hash of the account. `None` without an account, and while it is delayed: the response takes as long as with one.
    pub stored: Option<String>,
    /// The bcrypt hash of any account, which a wrong password is compared with so that it takes the same time for
    /// every account. `None` if no account has one.
    pub any_bcrypt_hash: Option<String>,
}

/// The response to a [`VerifyRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Verification {
    /// True if the password is right.
    pub is_valid: bool,
    /// A hash with the current parameters, if it should replace the stored one.
    pub new_hash: Option<String>,
}
