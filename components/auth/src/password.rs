//! Password hashes: argon2id, and the bcrypt of the service we replace until its users log in once.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use thought_diary::Error;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The hash of a password nobody has, with the same parameters as ours. An
/// unknown email is checked against it, so that it takes the time of a known one.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGhvdWdodC1kaWFyeS0wMA$1m3wpGt2KoJUy5RnZHlr5ICaZYcHeWfDnAlzXPCdJDA";

/// What became of checking a password.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It is not the one.
    Wrong,
    /// It is.
    Right,
    /// It is, and its hash should be replaced by one of ours.
    RightButOld,
}

/// Hashes a password; the result is a PHC string of about 97 characters.
///
/// # Errors
/// `internal_error` when hashing fails.
pub fn hash(password: &str) -> Result<String, Error> {
    hasher()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| Error::Internal("a password could not be hashed".into()))
}

/// Checks a password against the hash of an account, or against nothing in the same time.
///
/// # Errors
/// `internal_error` when the hasher cannot be set up.
pub fn verify(password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
    if let Some(bcrypt) = stored.filter(|hash| hash.starts_with("$2")) {
        return Ok(match bcrypt::verify(password, bcrypt) {
            Ok(true) => Verdict::RightButOld,
            _ => Verdict::Wrong,
        });
    }
    let Ok(hash) = PasswordHash::new(stored.unwrap_or(DUMMY)) else {
        return Ok(Verdict::Wrong);
    };
    let right = hasher()?
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    Ok(match (right, stored) {
        (true, Some(_)) => Verdict::Right,
        _ => Verdict::Wrong,
    })
}

fn hasher() -> Result<Argon2<'static>, Error> {
    Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .map_err(|_| Error::Internal("argon2 refuses its parameters".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = hash("Passw0rd!").expect("hashes");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(verify("Passw0rd!", Some(&hash)), Ok(Verdict::Right));
        assert_eq!(verify("passw0rd!", Some(&hash)), Ok(Verdict::Wrong));
    }

    #[test]
    fn the_dummy_costs_what_a_real_hash_costs() {
        let dummy = PasswordHash::new(DUMMY).expect("is a PHC string");
        let real = hash("Passw0rd!").expect("hashes");
        let real = PasswordHash::new(&real).expect("is a PHC string");
        assert_eq!(dummy.params, real.params);
        assert_eq!(dummy.algorithm, real.algorithm);
        assert_eq!(
            dummy.hash.as_ref().map(|hash| hash.as_bytes().len()),
            real.hash.as_ref().map(|hash| hash.as_bytes().len())
        );
        assert_eq!(verify("Passw0rd!", None), Ok(Verdict::Wrong));
    }

    #[test]
    fn hashes_of_the_replaced_service_still_open_the_door() {
        let old = bcrypt::hash("Passw0rd!", 4).expect("hashes");
        assert_eq!(verify("Passw0rd!", Some(&old)), Ok(Verdict::RightButOld));
        assert_eq!(verify("wrong", Some(&old)), Ok(Verdict::Wrong));
    }

    #[test]
    fn a_damaged_hash_opens_nothing() {
        assert_eq!(verify("Passw0rd!", Some("")), Ok(Verdict::Wrong));
        assert_eq!(
            verify("Passw0rd!", Some("$2b$nonsense")),
            Ok(Verdict::Wrong)
        );
    }
}
