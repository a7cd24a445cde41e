//! The query of `GET /diaries`: which entries, and which part of them.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};
use thought_diary::{
    Error,
    error::Details,
    http::{FromRequest, Request},
};

const DEFAULT_PER_PAGE: i64 = 10;
const MAX_PER_PAGE: i64 = 100;

/// Keeps `page * per_page` within a 64-bit integer.
const MAX_PAGE: i64 = 1_000_000_000;

/// Maximum number of characters of the search words.
const MAX_WORDS: usize = 200;

/// The parsed query.
#[derive(Debug, PartialEq)]
pub struct ListQuery {
    /// Which entries are listed.
    pub filter: Filter,
    /// The position at which the part begins.
    pub position: Position,
    /// The maximum number of entries of the part, 1 to 100.
    pub per_page: i64,
}

/// Conditions that entries must meet. Without any, all entries are listed.
#[derive(Debug, Default, PartialEq)]
pub struct Filter {
    /// `q`: words that the entry must contain.
    pub words: Option<String>,
    /// `sentiment`.
    pub sentiment: Option<Sentiment>,
    /// `from`: the entry was created at this time or later, UTC.
    pub from: Option<NaiveDateTime>,
    /// `to`: the entry was created before this time, UTC.
    pub to: Option<NaiveDateTime>,
}

/// The sentiment of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sentiment {
    /// More positive than negative marks.
    Positive,
    /// More negative than positive marks.
    Negative,
    /// As many positive as negative marks.
    Neutral,
}

/// The position at which a part of the list begins.
#[derive(Debug, PartialEq)]
pub enum Position {
    /// `page`, counted from 1.
    Page(i64),
    /// `cursor`: after this entry. An empty cursor begins with the newest entry.
    Cursor(Option<Cursor>),
}

/// The entry after which a part of the list begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    /// `created_at` in microseconds since 1970.
    pub created_at: i64,
    /// `id`.
    pub id: i32,
}

impl Cursor {
    /// Parses the text that the list's statement builds: two hexadecimal numbers.
    fn parse(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('-')?;
        // Postgres writes a time before 1970 in two's complement.
        let created_at = u64::from_str_radix(created_at, 16).ok()?.cast_signed();
        // Postgres rejects times that are far beyond these years.
        let year = DateTime::from_timestamp_micros(created_at)?.year();
        Some(Self {
            created_at: (0..=9999).contains(&year).then_some(created_at)?,
            id: i32::from_str_radix(id, 16).ok()?,
        })
    }
}

impl FromRequest for ListQuery {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Self::parse(request.query())
    }
}

impl ListQuery {
    /// Parses the query. Unknown parameters are ignored.
    ///
    /// # Errors
    /// `validation_error` for parameters that are invalid or occur twice, and for `page` with `cursor`.
    fn parse(query: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut parameters = Parameters::new(query);
        let page = parameters.parse(
            "page",
            "must be one whole number from 1 to 1000000000",
            |text| in_range(text, MAX_PAGE),
        );
        let per_page = parameters.parse(
            "per_page",
            "must be one whole number from 1 to 100",
            |text| in_range(text, MAX_PER_PAGE),
        );
        let cursor = parameters.parse(
            "cursor",
            "must be empty or the next_cursor of a response, without page",
            |text| match text {
                _ if page.is_some() => None,
                "" => Some(None),
                text => Cursor::parse(text).map(Some),
            },
        );
        let words = parameters.parse("q", "must be 1 to 200 characters long", parse_words);
        let sentiment = parameters.parse(
            "sentiment",
            "must be positive, negative or neutral",
            parse_sentiment,
        );
        let time = "must be a date such as 2026-01-31 or an RFC 3339 time";
        let from = parameters.parse("from", time, |text| parse_time(text, 0));
        let to = parameters.parse("to", time, |text| parse_time(text, 1));
        parameters.finish()?;
        Ok(Self {
            filter: Filter {
                words,
                sentiment,
                from,
                to,
            },
            position: match cursor {
                Some(cursor) => Position::Cursor(cursor),
                None => Position::Page(page.unwrap_or(1)),
            },
            per_page: per_page.unwrap_or(DEFAULT_PER_PAGE),
        })
    }
}

/// The pairs of a query, and the reasons why some are invalid.
pub struct Parameters {
    pairs: Vec<(String, String)>,
    details: Details,
}

impl Parameters {
    /// Collects the pairs.
    pub fn new(query: impl Iterator<Item = (String, String)>) -> Self {
        Self {
            pairs: query.collect(),
            details: Details::new(),
        }
    }

    /// Parses the parameter `name`, if there is one. Records `reason` if it is invalid or occurs twice.
    pub fn parse<T>(
        &mut self,
        name: &'static str,
        reason: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        let parsed = match values.next() {
            None => parse(value),
            Some(_) => None,
        };
        if parsed.is_none() {
            self.details.insert(name, vec![reason.into()]);
        }
        parsed
    }

    /// Reports the invalid parameters.
    ///
    /// # Errors
    /// `validation_error` if there are any.
    pub fn finish(self) -> Result<(), Error> {
        match self.details.is_empty() {
            true => Ok(()),
            false => Err(Error::Validation(self.details)),
        }
    }
}

fn in_range(text: &str, max: i64) -> Option<i64> {
    text.parse()
        .ok()
        .filter(|number| (1..=max).contains(number))
}

fn parse_words(text: &str) -> Option<String> {
    let is_valid =
        !text.trim().is_empty() && text.chars().count() <= MAX_WORDS && !text.contains('\0');
    is_valid.then(|| text.to_owned())
}

fn parse_sentiment(text: &str) -> Option<Sentiment> {
    match text {
        "positive" => Some(Sentiment::Positive),
        "negative" => Some(Sentiment::Negative),
        "neutral" => Some(Sentiment::Neutral),
        _ => None,
    }
}

/// Parses an RFC 3339 time or a date. A date means its midnight in UTC, plus `days` days.
///
/// With one day, a date is the exclusive end of a range that includes the date.
pub fn parse_time(text: &str, days: u64) -> Option<NaiveDateTime> {
    let (year, time) = match text.parse::<NaiveDate>() {
        Ok(date) => {
            let day = date.checked_add_days(Days::new(days))?;
            (date.year(), day.and_time(NaiveTime::MIN))
        }
        Err(_) => {
            let time = DateTime::parse_from_rfc3339(text).ok()?.naive_utc();
            (time.year(), time)
        }
    };
    // Postgres stores times up to the year 294276; four digits are enough here.
    (0..=9999).contains(&year).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<ListQuery, Error> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        ListQuery::parse(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    fn time(text: &str) -> NaiveDateTime {
        text.parse().expect("a time")
    }

    #[test]
    fn fuzz_list_queries() {
        bolero::check!()
            .with_type::<String>()
            .for_each(|query| match parse(query) {
                Ok(query) => {
                    assert!((1..=100).contains(&query.per_page), "{query:?}");
                    assert!(!matches!(query.position, Position::Page(..=0)), "{query:?}");
                    assert_ne!(query.filter.words.as_deref(), Some(""));
                }
                Err(error) => assert!(matches!(error, Error::Validation(_)), "{error:?}"),
            });
    }

    #[test]
    fn defaults_to_the_first_page_of_ten() {
        assert_eq!(
            parse("x=y"),
            Ok(ListQuery {
                filter: Filter::default(),
                position: Position::Page(1),
                per_page: 10
            })
        );
    }

    #[test]
    fn parses_filters() {
        let query = parse("q=walking&sentiment=negative&from=2026-01-01&to=2026-01-31");
        assert_eq!(
            query.map(|query| query.filter),
            Ok(Filter {
                words: Some("walking".into()),
                sentiment: Some(Sentiment::Negative),
                from: Some(time("2026-01-01T00:00:00")),
                to: Some(time("2026-02-01T00:00:00")),
            })
        );
    }

    #[test]
    fn accepts_the_last_date_as_the_end() {
        let to = parse("to=9999-12-31").map(|query| query.filter.to);
        assert_eq!(to, Ok(Some(time("+10000-01-01T00:00:00"))));
    }

    #[test]
    fn converts_times_to_utc() {
        let query = parse("from=2026-01-01T10:30:00+02:00");
        let from = query.map(|query| query.filter.from);
        assert_eq!(from, Ok(Some(time("2026-01-01T08:30:00"))));
    }

    #[test]
    fn parses_cursors() {
        let position = |query| parse(query).map(|query| query.position);
        assert_eq!(position("cursor="), Ok(Position::Cursor(None)));
        let cursor = Cursor {
            created_at: 0x661223f5b69c0,
            id: 0x26545,
        };
        assert_eq!(
            position("cursor=661223f5b69c0-26545"),
            Ok(Position::Cursor(Some(cursor)))
        );
        let before_1970 = Cursor {
            created_at: -1,
            id: 1,
        };
        assert_eq!(
            position("cursor=ffffffffffffffff-1"),
            Ok(Position::Cursor(Some(before_1970)))
        );
    }

    #[test]
    fn rejects_invalid_values_by_field() {
        for (query, field) in [
            ("page=0", "page"),
            ("page=-1", "page"),
            ("page=", "page"),
            ("page=1.5", "page"),
            ("page=99999999999999999999", "page"),
            ("page=1&page=2", "page"),
            ("per_page=101", "per_page"),
            ("per_page=ten", "per_page"),
            ("cursor=x", "cursor"),
            ("cursor=1-", "cursor"),
            ("cursor=7fffffffffffffff-1", "cursor"),
            ("page=1&cursor=", "cursor"),
            ("q=", "q"),
            ("sentiment=good", "sentiment"),
            ("from=yesterday", "from"),
            ("to=2026-02-30", "to"),
            ("to=+10000-01-01", "to"),
        ] {
            let Err(Error::Validation(details)) = parse(query) else {
                panic!("{query} should be invalid");
            };
            assert_eq!(details.into_keys().collect::<Vec<_>>(), [field], "{query}");
        }
    }
}
