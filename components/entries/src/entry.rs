//! A diary entry's id and text. Parsing is validation, so an [`Id`] or a [`Content`] is always valid.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thought_diary::{
    Error,
    http::{self, FromRequest, Request},
};

/// Allowed numbers of characters in an entry, after trimming.
const CONTENT_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=5000;

/// `thought_diaries.id`, from the request's path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Id(i32);

impl Id {
    /// Parses a path segment.
    ///
    /// # Errors
    /// `not_found` when it is not a positive 32-bit integer: no entry has such an id.
    fn parse(segment: &str) -> Result<Self, Error> {
        let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
        match segment.parse() {
            Ok(id) if is_number && id > 0 => Ok(Self(id)),
            _ => Err(Error::NotFound),
        }
    }

    /// Returns the number.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl FromRequest for Id {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Self::parse(request.parameter())
    }
}

/// The text of an entry, exactly as it was written.
#[derive(Debug, PartialEq, Serialize)]
pub struct Content(String);

impl Content {
    /// Parses a text. The error is the reason why it is invalid.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        let characters = text.trim().chars().count();
        if !CONTENT_CHARACTERS.contains(&characters) {
            return Err("must be 10 to 5000 characters long after trimming");
        }
        // Postgres cannot store NUL in text.
        if text.contains('\0') {
            return Err("must not contain the NUL character");
        }
        Ok(Self(text))
    }

    /// Wraps a text from the database, which was validated when it was stored.
    pub fn from_database(text: String) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The valid body of a request that writes an entry.
#[derive(Debug, Serialize)]
pub struct Draft {
    /// The text.
    pub content: Content,
}

impl FromRequest for Draft {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Body {
            content: Option<Value>,
        }
        let body: Body = http::Body::from_request(request).await?.json().await?;
        let content = match body.content {
            None | Some(Value::Null) => Err("is required"),
            Some(Value::String(text)) => Content::parse(text),
            Some(_) => Err("must be a string"),
        };
        Ok(Self {
            content: content.map_err(|reason| Error::invalid("content", reason))?,
        })
    }
}

impl Draft {
    /// Returns a text that is equal for equal drafts only, for idempotency keys.
    pub fn identity(&self) -> String {
        // Serialization fails only for maps with keys that are not strings. A draft has none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_after_trimming_and_keeps_the_text() {
        let is_valid = |text: String| Content::parse(text).is_ok();
        assert!(!is_valid("123456789".into()));
        assert!(!is_valid(format!("  {}  ", "1".repeat(9))));
        assert!(is_valid("ä".repeat(10)));
        assert!(is_valid("ä".repeat(5000)));
        assert!(!is_valid("ä".repeat(5001)));
        assert!(!is_valid("0123456789\0".into()));
        let content = Content::parse("  0123456789\n".into());
        assert_eq!(content.as_ref().map(Content::as_str), Ok("  0123456789\n"));
    }

    #[test]
    fn accepts_positive_32_bit_ids_only() {
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
