//! Email addresses.

use email_address::{EmailAddress, Options};

use crate::Reason;

/// Maximum number of characters in an email.
const MAX_CHARACTERS: usize = 120;

/// A valid email address: trimmed, lower-case, at most 120 characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Email(String);

impl Email {
    /// Trims, lower-cases and validates an address.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let email = text.trim().to_lowercase();
        if email.is_empty() {
            return Err("is required".into());
        }
        if email.chars().count() > MAX_CHARACTERS {
            return Err("must be at most 120 characters long".into());
        }
        let options = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        if email.contains(char::is_control)
            || EmailAddress::parse_with_options(&email, options).is_err()
        {
            return Err("must be a valid email address".into());
        }
        Ok(Self(email))
    }

    /// Returns the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_lower_cases_emails() {
        assert_eq!(
            Email::parse("  Ann@Example.COM ")
                .as_ref()
                .map(Email::as_str),
            Ok("ann@example.com")
        );
    }

    #[test]
    fn rejects_invalid_emails() {
        let long = format!("{}@example.com", "a".repeat(60) + &".b".repeat(30));
        for bad in [
            "",
            " ",
            "ann",
            "ann@",
            "@example.com",
            "ann@localhost",
            "a b@example.com",
            "ann@exa mple.com",
            "ann@example.com\0",
            "Ann <ann@example.com>",
            "ann@[127.0.0.1]",
            &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }
}
