//! Accounts, emails and passwords. Parsing is validation, so an [`Email`] or a [`NewPassword`] is always valid.

use std::borrow::Cow;

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thought_diary::{Error, config::Secret, error::Details};

/// Maximum number of characters in an email.
const EMAIL_CHARACTERS: usize = 120;

/// Allowed numbers of characters in a password.
const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// Special characters, of which a password must contain one.
const PASSWORD_SPECIALS: &str = "!@#$%^&*()_+-=[]{}|;:,.<>?\"'/\\~`";

type Reason = Cow<'static, str>;

/// An account, as the API shows it. Postgres formats its times.
#[derive(Debug, Serialize)]
pub struct User {
    /// `users.id`.
    pub id: i32,
    /// Lower-case.
    pub email: String,
    /// RFC 3339, UTC, milliseconds.
    pub created_at: String,
    /// RFC 3339, UTC, milliseconds.
    pub updated_at: String,
}

/// A valid email address: trimmed, lower-case, at most 120 characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Email(String);

impl Email {
    fn parse(text: &str) -> Result<Self, Reason> {
        let email = text.trim().to_lowercase();
        if email.is_empty() {
            return Err("is required".into());
        }
        if email.chars().count() > EMAIL_CHARACTERS {
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
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password that meets the rules for new passwords.
#[derive(Debug)]
pub struct NewPassword(Secret);

impl NewPassword {
    fn parse(text: &str) -> Result<Self, Vec<Reason>> {
        let has = |test: fn(char) -> bool| text.chars().any(test);
        let rules = [
            (
                PASSWORD_CHARACTERS.contains(&text.chars().count()),
                "must be 8 to 128 characters long",
            ),
            (has(char::is_uppercase), "must contain an upper-case letter"),
            (has(char::is_lowercase), "must contain a lower-case letter"),
            (has(|c| c.is_ascii_digit()), "must contain a digit"),
            (
                has(|c| PASSWORD_SPECIALS.contains(c)),
                "must contain a special character",
            ),
        ];
        let reasons: Vec<Reason> = rules
            .into_iter()
            .filter(|(is_met, _)| !is_met)
            .map(|(_, reason)| reason.into())
            .collect();
        if reasons.is_empty() {
            Ok(Self(Secret::new(text)))
        } else {
            Err(reasons)
        }
    }

    /// Returns the password.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The body of both routes, before validation.
#[derive(Deserialize)]
pub struct Credentials {
    email: Option<Value>,
    password: Option<Value>,
}

impl Credentials {
    /// Validates the fields for a registration.
    ///
    /// # Errors
    /// `validation_error` with all reasons at once.
    pub fn for_register(self) -> Result<(Email, NewPassword), Error> {
        let email = text(self.email).and_then(|text| Email::parse(&text));
        let password = text(self.password)
            .map_err(|reason| vec![reason])
            .and_then(|text| NewPassword::parse(&text));
        both(email.map_err(|reason| vec![reason]), password)
    }

    /// Validates the fields for a login. The rules for new passwords do not apply.
    ///
    /// # Errors
    /// `validation_error` when a field is missing, is not a string, or is not an email address.
    pub fn for_login(self) -> Result<(Email, Secret), Error> {
        let email = text(self.email)
            .and_then(|text| Email::parse(&text))
            .map_err(|reason| vec![reason]);
        let password = text(self.password)
            .map(Secret::new)
            .map_err(|reason| vec![reason]);
        both(email, password)
    }
}

fn text(field: Option<Value>) -> Result<String, Reason> {
    match field {
        None | Some(Value::Null) => Err("is required".into()),
        Some(Value::String(text)) if text.is_empty() => Err("is required".into()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err("must be a string".into()),
    }
}

fn both<E, P>(
    email: Result<E, Vec<Reason>>,
    password: Result<P, Vec<Reason>>,
) -> Result<(E, P), Error> {
    match (email, password) {
        (Ok(email), Ok(password)) => Ok((email, password)),
        (email, password) => Err(Error::Validation(
            [("email", email.err()), ("password", password.err())]
                .into_iter()
                .filter_map(|(field, reasons)| Some((field, reasons?)))
                .collect::<Details>(),
        )),
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

    #[test]
    fn reports_every_broken_password_rule() {
        assert_eq!(
            NewPassword::parse("x").err().map(|reasons| reasons.len()),
            Some(4)
        );
        assert!(NewPassword::parse("Passw0rd!").is_ok());
        assert!(NewPassword::parse(&format!("Aa1!{}", "ä".repeat(124))).is_ok());
        assert!(NewPassword::parse(&format!("Aa1!{}", "ä".repeat(125))).is_err());
        for special in PASSWORD_SPECIALS.chars() {
            assert!(
                NewPassword::parse(&format!("Passw0rd{special}")).is_ok(),
                "{special}"
            );
        }
    }

    #[test]
    fn all_fields_at_fault_are_named_at_once() {
        let credentials: Credentials = serde_json::from_str(r#"{"email": 1}"#).expect("an object");
        let Err(Error::Validation(details)) = credentials.for_register() else {
            panic!("should be refused");
        };
        assert_eq!(details["email"], ["must be a string"]);
        assert_eq!(details["password"], ["is required"]);
    }
}
