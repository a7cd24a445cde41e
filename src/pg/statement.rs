//! SQL statements with named parameters.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};
use spin_sdk::pg::ParameterValue;

use crate::error::Error;

/// An SQL statement with named parameters.
pub struct Statement {
    sql: Cow<'static, str>,
    names: Vec<&'static str>,
    pub(super) values: Vec<ParameterValue>,
}

impl Statement {
    /// Creates a statement. Its SQL refers to parameters by name, as in `where id = $id`.
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sql: sql.into(),
            names: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Sets a parameter. `None` is null.
    pub fn bind(mut self, name: &'static str, value: impl IntoParameter) -> Self {
        self.names.push(name);
        self.values.push(value.into_parameter());
        self
    }

    /// Returns the SQL with Postgres's own parameters: `$1` for the first name, and so on.
    ///
    /// # Errors
    /// `internal_error` when the SQL names a parameter that is not bound.
    pub(super) fn numbered(&self) -> Result<String, Error> {
        let mut pieces = self.sql.split('$');
        let mut numbered = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = piece.find(|c| !is_name(c)).unwrap_or(piece.len());
            let (name, rest) = piece.split_at(end);
            let position = self.names.iter().position(|bound| *bound == name);
            let position = position
                .ok_or_else(|| Error::Internal(format!("parameter `{name}` is not bound")))?;
            numbered.push_str(&format!("${}{rest}", position + 1));
        }
        Ok(numbered)
    }
}

/// A Rust value that can be a parameter of a [`Statement`].
pub trait IntoParameter {
    /// Converts the value.
    fn into_parameter(self) -> ParameterValue;
}

impl IntoParameter for &str {
    fn into_parameter(self) -> ParameterValue {
        ParameterValue::Str(self.to_owned())
    }
}

macro_rules! impl_into_parameter {
    ($($type:ty => $variant:ident),+ $(,)?) => {
        $(impl IntoParameter for $type {
            fn into_parameter(self) -> ParameterValue {
                ParameterValue::$variant(self)
            }
        })+
    };
}

impl_into_parameter! {
    bool => Boolean,
    String => Str,
    i32 => Int32,
    i64 => Int64,
    f64 => Floating64,
}

impl IntoParameter for NaiveDate {
    fn into_parameter(self) -> ParameterValue {
        self.into()
    }
}

impl IntoParameter for NaiveDateTime {
    fn into_parameter(self) -> ParameterValue {
        self.into()
    }
}

impl IntoParameter for Vec<String> {
    fn into_parameter(self) -> ParameterValue {
        ParameterValue::ArrayStr(self.into_iter().map(Some).collect())
    }
}

impl<T: IntoParameter> IntoParameter for Option<T> {
    fn into_parameter(self) -> ParameterValue {
        self.map_or(ParameterValue::DbNull, T::into_parameter)
    }
}

/// A UUID in its textual form.
#[derive(Clone, Debug, PartialEq)]
pub struct Uuid(String);

impl Uuid {
    /// Parses the form with hyphens. Postgres would reject anything else with an error of its own.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        is_valid.then(|| Self(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IntoParameter for &Uuid {
    fn into_parameter(self) -> ParameterValue {
        ParameterValue::Uuid(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_parameters_in_the_order_of_binding() {
        let statement = Statement::new("select $b::text, $a, $b, ($user_id)")
            .bind("a", 1)
            .bind("b", "x")
            .bind("user_id", None::<i32>);
        assert_eq!(
            statement.numbered(),
            Ok("select $2::text, $1, $2, ($3)".into())
        );
    }

    #[test]
    fn rejects_a_parameter_that_is_not_bound() {
        let statement = Statement::new("select $id");
        assert_eq!(
            statement.numbered(),
            Err(Error::Internal("parameter `id` is not bound".into()))
        );
    }

    #[test]
    fn parses_uuids_with_hyphens_only() {
        let uuid = "018f4e9e-0000-4000-8000-000000000001";
        assert_eq!(Uuid::parse(uuid).as_ref().map(Uuid::as_str), Some(uuid));
        for bad in [
            "",
            "1",
            "018f4e9e00004000800000000000000001",
            &format!("{uuid}0"),
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }
}
