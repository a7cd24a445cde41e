//! Values between Postgres and WIT: the types that this project's statements use.

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::bindings::postgres::{DbDataType, DbValue, ParameterValue};

type SqlError = Box<dyn std::error::Error + Sync + Send>;

/// Converts the parameter of a statement.
pub fn to_sql(value: ParameterValue) -> Result<Box<dyn ToSql + Send + Sync>> {
    Ok(match value {
        ParameterValue::Boolean(value) => Box::new(value),
        ParameterValue::Int16(value) => Box::new(value),
        ParameterValue::Int32(value) => Box::new(value),
        ParameterValue::Int64(value) => Box::new(value),
        ParameterValue::Floating32(value) => Box::new(value),
        ParameterValue::Floating64(value) => Box::new(value),
        ParameterValue::Str(value) => Box::new(value),
        ParameterValue::Binary(value) => Box::new(value),
        ParameterValue::Uuid(value) => {
            let uuid = Uuid::parse_str(&value);
            Box::new(uuid.with_context(|| format!("invalid UUID {value:?}"))?)
        }
        ParameterValue::Date((year, month, day)) => {
            let date = NaiveDate::from_ymd_opt(year, month.into(), day.into());
            Box::new(date.context("invalid date")?)
        }
        ParameterValue::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let time = NaiveDate::from_ymd_opt(year, month.into(), day.into()).and_then(|date| {
                date.and_hms_nano_opt(hour.into(), minute.into(), second.into(), nanosecond)
            });
            Box::new(time.context("invalid date or time")?)
        }
        ParameterValue::ArrayStr(values) => Box::new(values),
        ParameterValue::DbNull => Box::new(Null),
        other => bail!("the embedded host does not implement this type of parameter: {other:?}"),
    })
}

/// Returns the type of a column, and its value in `row`.
pub fn from_sql(row: &Row, index: usize) -> Result<(DbDataType, DbValue)> {
    let column = &row.columns()[index];
    let (of, value) = match *column.type_() {
        Type::BOOL => (DbDataType::Boolean, get(row, index, DbValue::Boolean)),
        Type::INT2 => (DbDataType::Int16, get(row, index, DbValue::Int16)),
        Type::INT4 => (DbDataType::Int32, get(row, index, DbValue::Int32)),
        Type::INT8 => (DbDataType::Int64, get(row, index, DbValue::Int64)),
        Type::FLOAT4 => (DbDataType::Floating32, get(row, index, DbValue::Floating32)),
        Type::FLOAT8 => (DbDataType::Floating64, get(row, index, DbValue::Floating64)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => {
            (DbDataType::Str, get(row, index, DbValue::Str))
        }
        Type::BYTEA => (DbDataType::Binary, get(row, index, DbValue::Binary)),
        Type::UUID => {
            let to_wit = |value: Uuid| DbValue::Uuid(value.to_string());
            (DbDataType::Uuid, get(row, index, to_wit))
        }
        Type::INT4_ARRAY => (DbDataType::ArrayInt32, get(row, index, DbValue::ArrayInt32)),
        // Reading a TIMESTAMPTZ as this Rust type fails, and so it does in Spin.
        Type::TIMESTAMP | Type::TIMESTAMPTZ => (DbDataType::Datetime, get(row, index, datetime)),
        _ => bail!(
            "the embedded host does not implement type {} of column {:?}: cast it to text",
            column.type_(),
            column.name()
        ),
    };
    Ok((of, value?))
}

fn get<'r, T: FromSql<'r>>(
    row: &'r Row,
    index: usize,
    to_wit: impl FnOnce(T) -> DbValue,
) -> Result<DbValue> {
    let value: Option<T> = row.try_get(index)?;
    Ok(value.map_or(DbValue::DbNull, to_wit))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a month, day, hour, minute or second is less than 256"
)]
fn datetime(value: NaiveDateTime) -> DbValue {
    DbValue::Datetime((
        value.year(),
        value.month() as u8,
        value.day() as u8,
        value.hour() as u8,
        value.minute() as u8,
        value.second() as u8,
        value.nanosecond(),
    ))
}

/// NULL as a parameter of any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, SqlError> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_invalid_and_unsupported_parameters() {
        let cases = [
            (ParameterValue::Uuid("no".to_owned()), "invalid UUID \"no\""),
            (
                ParameterValue::Datetime((2026, 2, 30, 0, 0, 0, 0)),
                "invalid date or time",
            ),
            (
                ParameterValue::Decimal("1".to_owned()),
                "the embedded host does not implement this type of parameter: \
                 ParameterValue::Decimal(\"1\")",
            ),
        ];
        for (value, expected) in cases {
            let error = to_sql(value).expect_err("the parameter is invalid");
            assert_eq!(error.to_string(), expected);
        }
    }
}
