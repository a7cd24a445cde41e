//! Password hashes: argon2id, and the bcrypt hashes of the replaced service until their users log in once.

use argon2::{PasswordVerifier, password_hash::phc::PasswordHash};
use credentials::argon2id::{self, hasher, parameters};
use thought_diary::Error;

/// Number of bytes of a password that bcrypt compares.
const BCRYPT_BYTES: usize = 72;

/// The result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    argon2id::hash(password).map_err(|_| Error::Internal("a password could not be hashed".into()))
}

/// Verifies a password against the hash of an account.
///
/// A wrong password takes the same time for every account, and without one: it
/// costs one argon2id hash, and one bcrypt hash as long as any account has one
/// (`any_bcrypt_hash`). bcrypt takes 230 ms, therefore the right password of an
/// argon2id hash skips it. A sleep instead of the second hash would be cheaper,
/// but on a busy machine both hashes take longer and the sleep does not.
///
/// # Errors
/// `internal_error` when the hasher cannot be created.
pub fn verify(
    password: &str,
    stored: Option<&str>,
    any_bcrypt_hash: Option<&str>,
) -> Result<Verdict, Error> {
    let (bcrypt, argon2) = match stored {
        Some(hash) if is_bcrypt(hash) => (Some(hash), None),
        argon2 => (None, argon2),
    };
    let is_valid = verify_argon2(password, argon2.unwrap_or(&hash_of_no_password()))?;
    if let (true, Some(hash)) = (is_valid, argon2) {
        return Ok(match hash.starts_with(&parameters()) {
            true => Verdict::Valid,
            false => Verdict::ValidNeedsRehash,
        });
    }
    let is_valid = bcrypt
        .or(any_bcrypt_hash)
        .is_some_and(|hash| bcrypt::verify(password, hash).unwrap_or(false));
    Ok(match bcrypt {
        // bcrypt ignores what follows byte 72. That may be mistyped, and a new hash of it would lock the user out.
        Some(_) if is_valid && password.len() > BCRYPT_BYTES => Verdict::Valid,
        Some(_) if is_valid => Verdict::ValidNeedsRehash,
        _ => Verdict::Invalid,
    })
}

fn is_bcrypt(hash: &str) -> bool {
    hash.starts_with("$2")
}

fn verify_argon2(password: &str, hash: &str) -> Result<bool, Error> {
    let Ok(hash) = PasswordHash::new(hash) else {
        return Ok(false);
    };
    let hasher = hasher().map_err(|_| Error::Internal("argon2 rejected its parameters".into()))?;
    Ok(hasher.verify_password(password.as_bytes(), &hash).is_ok())
}

/// Returns a hash with the current parameters that no password has. Verifying
/// against it takes as long as against the hash of an existing account.
fn hash_of_no_password() -> String {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("{}{salt}${output}", parameters())
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};

    use super::*;

    #[test]
    fn verifies_a_password_against_its_hash() {
        let hash = hash("Passw0rd!").expect("hashes");
        assert_eq!(verify("Passw0rd!", Some(&hash), None), Ok(Verdict::Valid));
        assert_eq!(verify("passw0rd!", Some(&hash), None), Ok(Verdict::Invalid));
    }

    #[test]
    fn replaces_hashes_with_other_parameters() {
        let params = Params::new(19_456, 2, 1, None).expect("valid");
        let former = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = former.hash_password(b"Passw0rd!").expect("hashes");
        let hash = hash.to_string();
        assert_eq!(
            verify("Passw0rd!", Some(&hash), None),
            Ok(Verdict::ValidNeedsRehash)
        );
        assert_eq!(verify("wrong", Some(&hash), None), Ok(Verdict::Invalid));
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
        assert_eq!(verify("Passw0rd!", None, None), Ok(Verdict::Invalid));
    }

    #[test]
    fn a_wrong_password_takes_the_same_time_for_every_account() {
        let bcrypt = bcrypt::hash("Passw0rd!", 10).expect("hashes");
        let argon2 = hash("Passw0rd!").expect("hashes");
        let accounts = [None, Some(&*argon2), Some(&*bcrypt)];
        // The fastest of several tries, because other processes only make a try slower.
        let mut fastest = [f64::INFINITY; 3];
        for _ in 0..5 {
            for (stored, fastest) in accounts.iter().zip(&mut fastest) {
                let start = std::time::Instant::now();
                let verdict = verify("wrong", *stored, Some(&bcrypt));
                *fastest = fastest.min(start.elapsed().as_secs_f64());
                assert_eq!(verdict, Ok(Verdict::Invalid));
            }
        }
        let [missing, argon2, bcrypt] = fastest;
        for (name, time) in [("argon2", argon2), ("bcrypt", bcrypt)] {
            let ratio = time / missing;
            assert!((0.7..1.4).contains(&ratio), "{name}: {ratio}");
        }
    }

    #[test]
    fn accepts_bcrypt_hashes_of_the_replaced_service() {
        let bcrypt = bcrypt::hash("Passw0rd!", 4).expect("hashes");
        assert_eq!(
            verify("Passw0rd!", Some(&bcrypt), None),
            Ok(Verdict::ValidNeedsRehash)
        );
        assert_eq!(verify("wrong", Some(&bcrypt), None), Ok(Verdict::Invalid));
    }

    #[test]
    fn does_not_accept_the_password_of_another_account() {
        let other = bcrypt::hash("Passw0rd!", 4).expect("hashes");
        let own = hash("Other1!password").expect("hashes");
        for stored in [None, Some(own.as_str())] {
            assert_eq!(
                verify("Passw0rd!", stored, Some(&other)),
                Ok(Verdict::Invalid)
            );
        }
    }

    #[test]
    fn keeps_the_bcrypt_hash_of_a_password_that_bcrypt_cuts() {
        let typed = |length: usize| "Aa1!".repeat(25)[..length].to_owned();
        let bcrypt = bcrypt::hash(typed(72), 4).expect("hashes");
        assert_eq!(
            verify(&typed(72), Some(&bcrypt), None),
            Ok(Verdict::ValidNeedsRehash)
        );
        assert_eq!(verify(&typed(73), Some(&bcrypt), None), Ok(Verdict::Valid));
    }

    #[test]
    fn rejects_every_password_for_a_damaged_hash() {
        for damaged in ["", "$2b$nonsense", "$argon2id$v=19$"] {
            assert_eq!(
                verify("Passw0rd!", Some(damaged), None),
                Ok(Verdict::Invalid),
                "{damaged}"
            );
        }
    }
}
