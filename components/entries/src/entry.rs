//! What people write: parsing is validation, so a [`Content`] is a good one.

use serde::Deserialize;
use serde_json::Value;
use thought_diary::Error;

/// Characters an entry may have, blanks at its ends not counted.
const CONTENT_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=5000;

/// `thought_diaries.id`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Id(i32);

impl Id {
    /// Reads a path segment.
    ///
    /// # Errors
    /// `not_found`: no entry has what is not a positive number of 31 bits.
    pub fn parse(segment: &str) -> Result<Self, Error> {
        let digits = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        match segment.parse() {
            Ok(id) if digits && id > 0 => Ok(Self(id)),
            _ => Err(Error::NotFound),
        }
    }

    /// The number itself.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// The text of an entry, as it was written.
#[derive(Debug, PartialEq)]
pub struct Content(String);

impl Content {
    fn parse(text: String) -> Result<Self, &'static str> {
        let characters = text.trim().chars().count();
        if !CONTENT_CHARACTERS.contains(&characters) {
            return Err("must be 10 to 5000 characters long, not counting blanks at its ends");
        }
        // Postgres has no such text.
        if text.contains('\0') {
            return Err("must not contain the NUL character");
        }
        Ok(Self(text))
    }

    /// Takes what the database holds, which was looked at when it was written.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The body of the routes that write, before its field is looked at.
#[derive(Deserialize)]
pub struct Draft {
    content: Option<Value>,
}

impl Draft {
    /// The content, when it may be stored.
    ///
    /// # Errors
    /// `validation_error`, saying why not.
    pub fn content(self) -> Result<Content, Error> {
        match self.content {
            None | Some(Value::Null) => Err("is required"),
            Some(Value::String(text)) => Content::parse(text),
            Some(_) => Err("must be a string"),
        }
        .map_err(|reason| Error::invalid("content", reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_counted_trimmed_and_kept_as_written() {
        let parse = |text: String| Content::parse(text).is_ok();
        assert!(!parse("123456789".into()));
        assert!(!parse(format!("  {}  ", "1".repeat(9))));
        assert!(parse("ä".repeat(10)));
        assert!(parse("ä".repeat(5000)));
        assert!(!parse("ä".repeat(5001)));
        assert!(!parse("0123456789\0".into()));
        let kept = Content::parse("  0123456789\n".into());
        assert_eq!(kept.as_ref().map(Content::as_str), Ok("  0123456789\n"));
    }

    #[test]
    fn ids_are_positive_numbers_of_31_bits() {
        assert_eq!(Id::parse("2147483647").map(Id::get), Ok(i32::MAX));
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "2147483648",
            "1e3",
            "٣",
            "stats2",
        ] {
            assert_eq!(Id::parse(bad), Err(Error::NotFound), "{bad}");
        }
    }
}
