//! The rules for new passwords.

use std::{fmt, ops::RangeInclusive};

use crate::{Reason, common_passwords};

/// Allowed numbers of characters in a password.
const CHARACTERS: RangeInclusive<usize> = 8..=256;

/// Special characters, of which a password must contain one.
const SPECIALS: &str = "!@#$%^&*()_+-=[]{}|;:,.<>?\"'/\\~`";

/// A password that meets the rules for new passwords.
pub struct NewPassword(String);

impl fmt::Debug for NewPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NewPassword(…)")
    }
}

impl NewPassword {
    /// Validates a password. It is never trimmed.
    ///
    /// # Errors
    /// All rules that it breaks.
    pub fn parse(text: &str) -> Result<Self, Vec<Reason>> {
        let has = |test: fn(char) -> bool| text.chars().any(test);
        let rules = [
            (
                CHARACTERS.contains(&text.chars().count()),
                "must be 8 to 256 characters long",
            ),
            (has(char::is_uppercase), "must contain an upper-case letter"),
            (has(char::is_lowercase), "must contain a lower-case letter"),
            (has(|c| c.is_ascii_digit()), "must contain a digit"),
            (
                has(|c| SPECIALS.contains(c)),
                "must contain a special character",
            ),
            (
                !common_passwords::contain(text),
                "must not be one of the most common passwords",
            ),
        ];
        let reasons: Vec<Reason> = rules
            .into_iter()
            .filter(|(is_met, _)| !is_met)
            .map(|(_, reason)| reason.into())
            .collect();
        if reasons.is_empty() {
            Ok(Self(text.to_owned()))
        } else {
            Err(reasons)
        }
    }

    /// Returns the password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(password: &str) -> Vec<Reason> {
        NewPassword::parse(password).err().unwrap_or_default()
    }

    #[test]
    fn reports_every_broken_password_rule() {
        assert_eq!(reasons("x").len(), 4);
        assert!(reasons("Passw0rd!").is_empty());
        for special in SPECIALS.chars() {
            assert!(
                reasons(&format!("Passw0rd{special}")).is_empty(),
                "{special}"
            );
        }
    }

    #[test]
    fn accepts_passwords_of_256_characters() {
        assert!(reasons(&format!("Aa1!{}", "ä".repeat(252))).is_empty());
        assert_eq!(
            reasons(&format!("Aa1!{}", "ä".repeat(253))),
            ["must be 8 to 256 characters long"]
        );
    }

    #[test]
    fn rejects_common_passwords() {
        assert_eq!(
            reasons("P@ssw0rd"),
            ["must not be one of the most common passwords"]
        );
    }

    #[test]
    fn does_not_show_itself() {
        let password = NewPassword::parse("Passw0rd!").map(|password| format!("{password:?}"));
        assert_eq!(password, Ok("NewPassword(…)".to_owned()));
    }
}
