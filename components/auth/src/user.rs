//! Accounts, emails and passwords. Parsing is validation, so an [`Email`] or a [`NewPassword`] is always valid.

use std::borrow::Cow;

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thought_diary::{Error, config::Secret, error::Details};

use crate::common_passwords;

/// Maximum number of characters in an email.
const EMAIL_CHARACTERS: usize = 120;

/// Allowed numbers of characters in a password.
const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=256;

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
                "must be 8 to 256 characters long",
            ),
            (has(char::is_uppercase), "must contain an upper-case letter"),
            (has(char::is_lowercase), "must contain a lower-case letter"),
            (has(|c| c.is_ascii_digit()), "must contain a digit"),
            (
                has(|c| PASSWORD_SPECIALS.contains(c)),
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

/// The body of a registration and of a login, before validation.
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
        both(
            ("email", email(self.email)),
            ("password", new_password(self.password)),
        )
    }

    /// Validates the fields for a login. The rules for new passwords do not apply.
    ///
    /// # Errors
    /// `validation_error` when a field is missing, is not a string, or is not an email address.
    pub fn for_login(self) -> Result<(Email, Secret), Error> {
        both(
            ("email", email(self.email)),
            ("password", password(self.password)),
        )
    }
}

/// The body of a change of the password, before validation.
#[derive(Deserialize)]
pub struct PasswordChange {
    current_password: Option<Value>,
    new_password: Option<Value>,
}

impl PasswordChange {
    /// Validates the fields. The rules for new passwords do not apply to the current one.
    ///
    /// # Errors
    /// `validation_error` with all reasons at once.
    pub fn validate(self) -> Result<(Secret, NewPassword), Error> {
        both(
            ("current_password", password(self.current_password)),
            ("new_password", new_password(self.new_password)),
        )
    }
}

/// The body of a request that the user confirms with the password, before validation.
#[derive(Deserialize)]
pub struct Confirmation {
    password: Option<Value>,
}

impl Confirmation {
    /// Validates the field.
    ///
    /// # Errors
    /// `validation_error` when it is missing or not a string.
    pub fn validate(self) -> Result<Secret, Error> {
        password(self.password).map_err(|reasons| Error::Validation([("password", reasons)].into()))
    }
}

fn email(field: Option<Value>) -> Result<Email, Vec<Reason>> {
    text(field)
        .and_then(|text| Email::parse(&text))
        .map_err(|reason| vec![reason])
}

fn password(field: Option<Value>) -> Result<Secret, Vec<Reason>> {
    text(field).map(Secret::new).map_err(|reason| vec![reason])
}

fn new_password(field: Option<Value>) -> Result<NewPassword, Vec<Reason>> {
    text(field)
        .map_err(|reason| vec![reason])
        .and_then(|text| NewPassword::parse(&text))
}

fn text(field: Option<Value>) -> Result<String, Reason> {
    match field {
        None | Some(Value::Null) => Err("is required".into()),
        Some(Value::String(text)) if text.is_empty() => Err("is required".into()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err("must be a string".into()),
    }
}

/// Returns two validated fields, or the reasons of both.
fn both<A, B>(
    (first_name, first): (&'static str, Result<A, Vec<Reason>>),
    (second_name, second): (&'static str, Result<B, Vec<Reason>>),
) -> Result<(A, B), Error> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (first, second) => Err(Error::Validation(
            [(first_name, first.err()), (second_name, second.err())]
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

    fn reasons(password: &str) -> Vec<Reason> {
        NewPassword::parse(password).err().unwrap_or_default()
    }

    #[test]
    fn reports_every_broken_password_rule() {
        assert_eq!(reasons("x").len(), 4);
        assert!(reasons("Passw0rd!").is_empty());
        for special in PASSWORD_SPECIALS.chars() {
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
    fn reports_all_invalid_fields_at_once() {
        let credentials: Credentials = serde_json::from_str(r#"{"email": 1}"#).expect("an object");
        let Err(Error::Validation(details)) = credentials.for_register() else {
            panic!("should be rejected");
        };
        assert_eq!(details["email"], ["must be a string"]);
        assert_eq!(details["password"], ["is required"]);
    }
}
