//! The hash of a password: argon2id.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash};

/// One of OWASP's equivalent recommendations for argon2id: 7 MiB, five passes, one lane.
///
/// An instance keeps the memory of its largest hash. Of the recommendations, this
/// one needs the least, and it is the fastest.
const MEMORY_KIB: u32 = 7_168;
const PASSES: u32 = 5;
const LANES: u32 = 1;

/// Hashes a password. Returns a PHC string of about 97 characters.
///
/// # Errors
/// When there is no random salt.
pub fn hash(password: &str) -> Result<String, password_hash::Error> {
    let hash = hasher()?.hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

/// Returns the start of every hash with the current parameters.
#[must_use]
pub fn parameters() -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
}

/// Returns the hasher with the current parameters.
///
/// # Errors
/// When `argon2` rejects the parameters.
pub fn hasher() -> Result<Argon2<'static>, password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
