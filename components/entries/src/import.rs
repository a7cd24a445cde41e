//! `POST /diaries/import`: stores the entries of an export again.

mod db;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use thought_diary::{
    Error, Response,
    http::{Body, BodyError, Context},
    response::json,
    session::Session,
};

use crate::{config::Config, db::WriteLimit, entry::Content};

/// Entries that one statement stores. It is reached before [`BATCH_BYTES`] unless entries are long.
const BATCH: usize = 200;

/// Bytes of lines after which a batch is stored, to bound the memory.
const BATCH_BYTES: usize = 512 * 1024;

/// Maximum length of a line, in bytes. Every exported entry is shorter, with its marks and escapes.
const LINE_LIMIT: usize = 256 * 1024;

/// Maximum length of a text as a JSON string, in bytes: the limit of a body of `POST /diaries`. White space around a
/// text counts here, and not for its number of characters.
const CONTENT_LIMIT: usize = 64 * 1024;

/// The response of an import.
#[derive(Default, Serialize)]
struct Imported {
    /// Entries that were stored.
    imported: i64,
    /// Entries that the user had already.
    skipped: i64,
}

/// A line of an export. Lines of other types than `diary` are ignored.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    content: Option<String>,
    analyzed_content: Option<String>,
    analyzed_by: Option<String>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
}

/// An entry to store, as `diary_import` takes it.
#[derive(Debug, PartialEq, Serialize)]
struct Entry {
    content: String,
    analyzed_content: Option<String>,
    analyzed_by: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl Line {
    /// Returns the entry of a line. `None` for lines of other types.
    fn entry(self) -> Result<Option<Entry>, &'static str> {
        if self.kind != "diary" {
            return Ok(None);
        }
        let content = Content::parse(self.content.ok_or("content is required")?)?;
        let length = serde_json::to_string(&content).map_or(0, |json| json.len());
        if length > CONTENT_LIMIT {
            return Err("content must be at most 64 KiB long as JSON");
        }
        let created_at = time(self.created_at.ok_or("created_at is required")?)?;
        let updated_at = self.updated_at.map(time).transpose()?;
        Ok(Some(Entry {
            content: content.as_str().to_owned(),
            // Postgres cannot store NUL in text. Unsafe marks are dropped there.
            analyzed_content: self.analyzed_content.filter(|html| !html.contains('\0')),
            analyzed_by: self.analyzed_by.filter(|name| !name.contains('\0')),
            created_at,
            updated_at: updated_at.unwrap_or(created_at),
        }))
    }
}

/// Returns a time that Postgres can store.
fn time(time: DateTime<Utc>) -> Result<NaiveDateTime, &'static str> {
    match time.year() {
        1..=9999 => Ok(time.naive_utc()),
        _ => Err("times must be in the years 1 to 9999"),
    }
}

fn parse(line: &[u8]) -> Result<Option<Entry>, &'static str> {
    let line: Line = serde_json::from_slice(line).map_err(|_| "is not a line of an export")?;
    line.entry()
}

/// `POST /diaries/import`
///
/// Stores the entries in batches while the body arrives, so that memory does not
/// grow with it. An import that fails keeps the batches before; repeating it is
/// safe, because entries that exist are skipped.
///
/// An import counts as one write, whatever its length: a limit on its entries
/// would end it halfway.
pub async fn import(
    context: Context,
    config: &'static Config,
    session: Session,
    body: Body,
) -> Result<Response, Error> {
    let mut limit = WriteLimit::new(config.write_limit, &context);
    let mut result = Imported::default();
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut records = 0;
    let invalid =
        |number: usize, reason: &str| Error::invalid("body", format!("record {number}: {reason}"));
    let mut lines = body.json_lines()?;
    while let Some(lines) = &mut lines {
        let line = lines.next(LINE_LIMIT).await.map_err(|error| match error {
            BodyError::TooLong => invalid(records + 1, "is longer than 256 KiB"),
            BodyError::Incomplete => Error::invalid("body", "is incomplete"),
        })?;
        let Some(line) = line else {
            break;
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        records += 1;
        bytes += line.len();
        batch.extend(parse(&line).map_err(|reason| invalid(records, reason))?);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            store(config, &session, limit, &mut batch, &mut result).await?;
            // Only the first batch counts.
            limit = WriteLimit::new(None, &context);
            bytes = 0;
        }
    }
    // Also without entries: the statement checks the session.
    store(config, &session, limit, &mut batch, &mut result).await?;
    Ok(json(StatusCode::OK, &result))
}

async fn store(
    config: &Config,
    session: &Session,
    limit: WriteLimit<'_>,
    batch: &mut Vec<Entry>,
    result: &mut Imported,
) -> Result<(), Error> {
    let entries = serde_json::to_string(batch)
        .map_err(|_| Error::Internal("entries could not be serialized".into()))?;
    let imported = db::import(&config.database, session, limit, entries).await?;
    result.imported += imported;
    result.skipped += batch.len() as i64 - imported;
    batch.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_diaries_and_ignores_other_lines() {
        let line = br#"{"type":"diary","id":1,"content":"A lovely day.","created_at":"2026-01-02T03:04:05.678Z"}"#;
        let entry = parse(line)
            .map(|entry| entry.map(|entry| (entry.content, entry.created_at, entry.updated_at)));
        let time = "2026-01-02T03:04:05.678".parse().expect("a time");
        assert_eq!(entry, Ok(Some(("A lovely day.".into(), time, time))));
        assert_eq!(parse(br#"{"type":"session","id":"x"}"#), Ok(None));
    }

    #[test]
    fn limits_the_space_around_a_text_as_a_request_does() {
        let line = |spaces: usize| {
            let space = " ".repeat(spaces);
            let time = "2026-01-02T03:04:05Z";
            let json = format!(
                r#"{{"type":"diary","content":"{space}A lovely day.","created_at":"{time}"}}"#
            );
            parse(json.as_bytes()).map(|entry| entry.is_some())
        };
        assert_eq!(line(65_000), Ok(true));
        assert_eq!(
            line(66_000),
            Err("content must be at most 64 KiB long as JSON")
        );
    }

    #[test]
    fn rejects_invalid_lines() {
        for (line, reason) in [
            ("1", "is not a line of an export"),
            ("{}", "is not a line of an export"),
            (
                r#"{"type":"diary","content":"A lovely day."}"#,
                "created_at is required",
            ),
            (
                r#"{"type":"diary","created_at":"2026-01-02T03:04:05Z"}"#,
                "content is required",
            ),
            (
                r#"{"type":"diary","content":"short","created_at":"2026-01-02T03:04:05Z"}"#,
                "must be 10 to 5000 characters long after trimming",
            ),
            (
                r#"{"type":"diary","content":"A lovely day.","created_at":"0000-01-02T03:04:05Z"}"#,
                "times must be in the years 1 to 9999",
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(reason), "{line}");
        }
    }
}
