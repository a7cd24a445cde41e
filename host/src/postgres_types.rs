//! Values between Postgres and WIT, in both directions, with the gaps that Spin has.

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use postgres_range::{BoundSided, BoundType, Normalizable, Range, RangeBound};
use rust_decimal::Decimal;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::bindings::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Interval, ParameterValue, RangeBoundKind, Row,
};

type SqlError = Box<dyn std::error::Error + Sync + Send>;
type WitBound<T> = Option<(T, RangeBoundKind)>;
type WitRange<T> = (WitBound<T>, WitBound<T>);

/// Name and type of a result's column.
pub fn column(column: &tokio_postgres::Column) -> Column {
    Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    }
}

fn data_type(of: &Type) -> DbDataType {
    match *of {
        Type::BOOL => DbDataType::Boolean,
        Type::BYTEA => DbDataType::Binary,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        Type::INTERVAL => DbDataType::Interval,
        _ => DbDataType::Other(of.name().to_owned()),
    }
}

/// Converts a result's row.
pub fn to_row(row: &tokio_postgres::Row) -> Result<Row> {
    (0..row.len()).map(|index| value(row, index)).collect()
}

fn value(row: &tokio_postgres::Row, index: usize) -> Result<DbValue> {
    match *row.columns()[index].type_() {
        Type::BOOL => plain(row, index, DbValue::Boolean),
        Type::BYTEA => plain(row, index, DbValue::Binary),
        Type::FLOAT4 => plain(row, index, DbValue::Floating32),
        Type::FLOAT8 => plain(row, index, DbValue::Floating64),
        Type::INT2 => plain(row, index, DbValue::Int16),
        Type::INT4 => plain(row, index, DbValue::Int32),
        Type::INT8 => plain(row, index, DbValue::Int64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => plain(row, index, DbValue::Str),
        // A TIMESTAMPTZ cannot be read as this type and fails: so it does in Spin.
        Type::TIMESTAMP | Type::TIMESTAMPTZ => converted(row, index, datetime),
        Type::DATE => converted(row, index, date),
        Type::TIME => converted(row, index, time),
        Type::UUID => plain(row, index, |id: Uuid| DbValue::Uuid(id.to_string())),
        Type::JSONB => converted(row, index, |json: serde_json::Value| {
            Ok(DbValue::Jsonb(serde_json::to_vec(&json)?))
        }),
        Type::NUMERIC => plain(row, index, |d: Decimal| DbValue::Decimal(d.to_string())),
        Type::INT4_RANGE => plain(row, index, |r| DbValue::RangeInt32(range(&r, |n| *n))),
        Type::INT8_RANGE => plain(row, index, |r| DbValue::RangeInt64(range(&r, |n| *n))),
        Type::NUM_RANGE => plain(row, index, |r| {
            DbValue::RangeDecimal(range(&r, |d: &RangeDecimal| d.0.to_string()))
        }),
        Type::INT4_ARRAY => plain(row, index, DbValue::ArrayInt32),
        Type::INT8_ARRAY => plain(row, index, DbValue::ArrayInt64),
        Type::NUMERIC_ARRAY => plain(row, index, |array: Vec<Option<Decimal>>| {
            let texts = array.into_iter().map(|d| d.map(|d| d.to_string()));
            DbValue::ArrayDecimal(texts.collect())
        }),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => {
            plain(row, index, DbValue::ArrayStr)
        }
        Type::INTERVAL => plain(row, index, |i: SqlInterval| DbValue::Interval(i.0)),
        _ => plain(row, index, |raw: Raw| DbValue::Unsupported(raw.0)),
    }
}

fn plain<'r, T: FromSql<'r>>(
    row: &'r tokio_postgres::Row,
    index: usize,
    convert: impl FnOnce(T) -> DbValue,
) -> Result<DbValue> {
    converted(row, index, |value| Ok(convert(value)))
}

fn converted<'r, T: FromSql<'r>>(
    row: &'r tokio_postgres::Row,
    index: usize,
    convert: impl FnOnce(T) -> Result<DbValue>,
) -> Result<DbValue> {
    match row.try_get::<_, Option<T>>(index)? {
        Some(value) => convert(value),
        None => Ok(DbValue::DbNull),
    }
}

fn datetime(value: NaiveDateTime) -> Result<DbValue> {
    Ok(DbValue::Datetime((
        value.year(),
        value.month().try_into()?,
        value.day().try_into()?,
        value.hour().try_into()?,
        value.minute().try_into()?,
        value.second().try_into()?,
        value.nanosecond(),
    )))
}

fn date(value: NaiveDate) -> Result<DbValue> {
    let (month, day) = (value.month().try_into()?, value.day().try_into()?);
    Ok(DbValue::Date((value.year(), month, day)))
}

fn time(value: NaiveTime) -> Result<DbValue> {
    Ok(DbValue::Time((
        value.hour().try_into()?,
        value.minute().try_into()?,
        value.second().try_into()?,
        value.nanosecond(),
    )))
}

fn range<T: Normalizable + PartialOrd, U>(
    value: &Range<T>,
    convert: impl Fn(&T) -> U,
) -> WitRange<U> {
    let kind = |bound| match bound {
        BoundType::Inclusive => RangeBoundKind::Inclusive,
        BoundType::Exclusive => RangeBoundKind::Exclusive,
    };
    let lower = value.lower().map(|b| (convert(&b.value), kind(b.type_)));
    let upper = value.upper().map(|b| (convert(&b.value), kind(b.type_)));
    (lower, upper)
}

/// Converts a statement's parameter.
pub fn to_sql(value: &ParameterValue) -> Result<Box<dyn ToSql + Send + Sync>> {
    Ok(match value {
        ParameterValue::Boolean(v) => Box::new(*v),
        ParameterValue::Int8(v) => Box::new(*v),
        ParameterValue::Int16(v) => Box::new(*v),
        ParameterValue::Int32(v) => Box::new(*v),
        ParameterValue::Int64(v) => Box::new(*v),
        ParameterValue::Floating32(v) => Box::new(*v),
        ParameterValue::Floating64(v) => Box::new(*v),
        ParameterValue::Str(v) => Box::new(v.clone()),
        ParameterValue::Binary(v) => Box::new(v.clone()),
        ParameterValue::Date((y, m, d)) => Box::new(sql_date(*y, *m, *d)?),
        ParameterValue::Time((h, m, s, ns)) => Box::new(sql_time(*h, *m, *s, *ns)?),
        ParameterValue::Datetime((y, mo, d, h, m, s, ns)) => Box::new(NaiveDateTime::new(
            sql_date(*y, *mo, *d)?,
            sql_time(*h, *m, *s, *ns)?,
        )),
        ParameterValue::Timestamp(seconds) => Box::new(
            DateTime::<Utc>::from_timestamp(*seconds, 0)
                .with_context(|| format!("invalid epoch timestamp {seconds}"))?,
        ),
        ParameterValue::Uuid(v) => {
            Box::new(Uuid::parse_str(v).with_context(|| format!("invalid UUID {v}"))?)
        }
        ParameterValue::Jsonb(v) => Box::new(sql_json(v)?),
        ParameterValue::Decimal(v) => Box::new(sql_decimal(v)?),
        ParameterValue::RangeInt32(v) => Box::new(sql_range(v, |n: &i32| Ok(*n))?),
        ParameterValue::RangeInt64(v) => Box::new(sql_range(v, |n: &i64| Ok(*n))?),
        ParameterValue::RangeDecimal(v) => Box::new(sql_range(v, |d: &String| {
            Ok(RangeDecimal(sql_decimal(d)?))
        })?),
        ParameterValue::ArrayInt32(v) => Box::new(v.clone()),
        ParameterValue::ArrayInt64(v) => Box::new(v.clone()),
        ParameterValue::ArrayDecimal(v) => {
            let parsed = v.iter().map(|d| d.as_deref().map(sql_decimal).transpose());
            Box::new(parsed.collect::<Result<Vec<_>>>()?)
        }
        ParameterValue::ArrayStr(v) => Box::new(v.clone()),
        ParameterValue::Interval(v) => Box::new(SqlInterval(*v)),
        ParameterValue::DbNull => Box::new(Null),
    })
}

fn sql_date(y: i32, m: u8, d: u8) -> Result<NaiveDate> {
    let date = NaiveDate::from_ymd_opt(y, m.into(), d.into());
    date.with_context(|| format!("invalid date y={y}, m={m}, d={d}"))
}

fn sql_time(h: u8, m: u8, s: u8, ns: u32) -> Result<NaiveTime> {
    let time = NaiveTime::from_hms_nano_opt(h.into(), m.into(), s.into(), ns);
    time.with_context(|| format!("invalid time {h}:{m}:{s}:{ns}"))
}

fn sql_json(text: &[u8]) -> Result<serde_json::Value> {
    let invalid = || format!("invalid JSON {}", String::from_utf8_lossy(text));
    serde_json::from_slice(text).with_context(invalid)
}

fn sql_decimal(text: &str) -> Result<Decimal> {
    Decimal::from_str_exact(text).with_context(|| format!("invalid decimal {text}"))
}

fn sql_range<T, U: Normalizable + PartialOrd>(
    (lower, upper): &WitRange<T>,
    convert: impl Fn(&T) -> Result<U>,
) -> Result<Range<U>> {
    fn bound<S: BoundSided, T, U: PartialOrd>(
        bound: &WitBound<T>,
        convert: impl Fn(&T) -> Result<U>,
    ) -> Result<Option<RangeBound<S, U>>> {
        let Some((value, kind)) = bound else {
            return Ok(None);
        };
        let kind = match kind {
            RangeBoundKind::Inclusive => BoundType::Inclusive,
            RangeBoundKind::Exclusive => BoundType::Exclusive,
        };
        Ok(Some(RangeBound::new(convert(value)?, kind)))
    }
    Ok(Range::new(bound(lower, &convert)?, bound(upper, &convert)?))
}

/// Bytes that a row takes on the host, roughly.
pub fn row_size(row: &Row) -> usize {
    row.iter().map(value_size).sum()
}

fn value_size(value: &DbValue) -> usize {
    size_of::<DbValue>()
        + match value {
            DbValue::Str(v) | DbValue::Uuid(v) | DbValue::Decimal(v) => v.len(),
            DbValue::Binary(v) | DbValue::Jsonb(v) | DbValue::Unsupported(v) => v.len(),
            DbValue::ArrayInt32(v) => size_of_val(&v[..]),
            DbValue::ArrayInt64(v) => size_of_val(&v[..]),
            DbValue::ArrayDecimal(v) | DbValue::ArrayStr(v) => {
                let texts = v.iter().flatten().map(String::len);
                size_of_val(&v[..]) + texts.sum::<usize>()
            }
            _ => 0,
        }
}

/// A decimal as a bound of a range.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct RangeDecimal(Decimal);

impl Normalizable for RangeDecimal {
    /// Decimals have no next one, so bounds stay as they are.
    fn normalize<S: BoundSided>(bound: RangeBound<S, Self>) -> RangeBound<S, Self> {
        bound
    }
}

impl FromSql<'_> for RangeDecimal {
    fn from_sql(of: &Type, raw: &[u8]) -> Result<Self, SqlError> {
        Decimal::from_sql(of, raw).map(Self)
    }

    fn accepts(of: &Type) -> bool {
        <Decimal as FromSql>::accepts(of)
    }
}

impl ToSql for RangeDecimal {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
        self.0.to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        <Decimal as ToSql>::accepts(of)
    }

    to_sql_checked!();
}

/// An interval in Postgres's binary form: microseconds, days, months.
#[derive(Debug)]
struct SqlInterval(Interval);

impl FromSql<'_> for SqlInterval {
    fn from_sql(_: &Type, mut raw: &[u8]) -> Result<Self, SqlError> {
        if raw.len() != 16 {
            return Err("unexpected binary format for Postgres INTERVAL".into());
        }
        Ok(Self(Interval {
            micros: raw.get_i64(),
            days: raw.get_i32(),
            months: raw.get_i32(),
        }))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::INTERVAL
    }
}

impl ToSql for SqlInterval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, SqlError> {
        out.put_i64(self.0.micros);
        out.put_i32(self.0.days);
        out.put_i32(self.0.months);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::INTERVAL
    }

    to_sql_checked!();
}

/// A value of a type that WIT has no case for, in Postgres's binary form.
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, SqlError> {
        Ok(Self(raw.to_owned()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// NULL for a parameter of any type.
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
    fn impossible_parameters_are_errors() {
        let wrong = [
            ParameterValue::Date((2026, 2, 30)),
            ParameterValue::Time((24, 0, 0, 0)),
            ParameterValue::Uuid("no".to_owned()),
            ParameterValue::Decimal("one".to_owned()),
            ParameterValue::Jsonb(b"{".to_vec()),
            ParameterValue::Timestamp(i64::MAX),
        ];
        for value in wrong {
            assert!(to_sql(&value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn sizes_count_what_is_behind_pointers() {
        let empty = row_size(&vec![DbValue::DbNull]);
        let text = row_size(&vec![DbValue::Str("x".repeat(100))]);
        assert_eq!(text, empty + 100);
    }
}
