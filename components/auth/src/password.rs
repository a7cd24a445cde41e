//! Password hashes: argon2id, and the bcrypt hashes of the replaced service until their users log in once.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use thought_diary::Error;

/// OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The result of verifying a password.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The password is wrong, or there is no account.
    Invalid,
    /// The password is right.
    Valid,
    /// The password is right, and its hash should be replaced by a current one.
    ValidNeedsRehash,
}

/// Hashes a password. Returns a PHC string of about 97 characters.
///
/// # Errors
/// `internal_error` when hashing fails.
pub fn hash(password: &str) -> Result<String, Error> {
    hasher()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| Error::Internal("a password could not be hashed".into()))
}

/// Verifies a password against the hash of an account. If there is no account, returns `Invalid` after the same time.
///
/// # Errors
/// `internal_error` when the hasher cannot be created.
pub fn verify(password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
    if let Some(bcrypt) = stored.filter(|hash| hash.starts_with("$2")) {
        return Ok(match bcrypt::verify(password, bcrypt) {
            Ok(true) => Verdict::ValidNeedsRehash,
            _ => Verdict::Invalid,
        });
    }
    let hash = stored.map_or_else(hash_of_no_password, str::to_owned);
    let Ok(hash) = PasswordHash::new(&hash) else {
        return Ok(Verdict::Invalid);
    };
    let is_valid = hasher()?
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    Ok(if is_valid && stored.is_some() {
        Verdict::Valid
    } else {
        Verdict::Invalid
    })
}

/// Returns a hash with the current parameters that no password has. Verifying
/// against it takes as long as against the hash of an existing account.
fn hash_of_no_password() -> String {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${output}")
}

fn hasher() -> Result<Argon2<'static>, Error> {
    Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .map_err(|_| Error::Internal("argon2 rejected its parameters".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_a_password_against_its_hash() {
        let hash = hash("Passw0rd!").expect("hashes");
        assert_eq!(verify("Passw0rd!", Some(&hash)), Ok(Verdict::Valid));
        assert_eq!(verify("passw0rd!", Some(&hash)), Ok(Verdict::Invalid));
    }

    #[test]
    fn a_missing_account_costs_what_an_existing_one_costs() {
        let missing = hash_of_no_password();
        let missing = PasswordHash::new(&missing).expect("is a PHC string");
        let existing = hash("Passw0rd!").expect("hashes");
        let existing = PasswordHash::new(&existing).expect("is a PHC string");
        assert_eq!(missing.params, existing.params);
        assert_eq!(missing.algorithm, existing.algorithm);
        assert_eq!(missing.version, existing.version);
        let length = |hash: &PasswordHash| hash.hash.as_ref().map(|hash| hash.as_bytes().len());
        assert_eq!(length(&missing), length(&existing));
        assert_eq!(verify("Passw0rd!", None), Ok(Verdict::Invalid));
    }

    #[test]
    fn accepts_bcrypt_hashes_of_the_replaced_service() {
        let bcrypt = bcrypt::hash("Passw0rd!", 4).expect("hashes");
        assert_eq!(
            verify("Passw0rd!", Some(&bcrypt)),
            Ok(Verdict::ValidNeedsRehash)
        );
        assert_eq!(verify("wrong", Some(&bcrypt)), Ok(Verdict::Invalid));
    }

    #[test]
    fn rejects_every_password_for_a_damaged_hash() {
        assert_eq!(verify("Passw0rd!", Some("")), Ok(Verdict::Invalid));
        assert_eq!(
            verify("Passw0rd!", Some("$2b$nonsense")),
            Ok(Verdict::Invalid)
        );
    }
}
