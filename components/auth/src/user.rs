//! Accounts, and the validation of requests with emails and passwords.

use credentials::{Email, NewPassword, Reason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thought_diary::{Error, config::Secret, error::Details};

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
    fn reports_all_invalid_fields_at_once() {
        let credentials: Credentials = serde_json::from_str(r#"{"email": 1}"#).expect("an object");
        let Err(Error::Validation(details)) = credentials.for_register() else {
            panic!("should be rejected");
        };
        assert_eq!(details["email"], ["must be a string"]);
        assert_eq!(details["password"], ["is required"]);
    }
}
