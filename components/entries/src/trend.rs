//! The query and the response of `GET /diaries/stats/trend`.

use std::{collections::HashMap, iter};

use chrono::{Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use thought_diary::{
    Error,
    http::{FromRequest, Request},
};

use crate::{list_query::Parameters, totals::Totals};

/// Maximum number of periods in a response: more than ten years of days.
const MAX_PERIODS: i64 = 4000;

/// The parsed query.
#[derive(Debug, PartialEq)]
pub struct TrendQuery {
    /// The length of a period.
    pub interval: Interval,
    /// The first date that is counted, in the time zone. Defaults to 29 periods before `to`.
    pub from: Option<NaiveDate>,
    /// The last date that is counted, in the time zone. Defaults to today.
    pub to: Option<NaiveDate>,
    /// An IANA time zone, such as `Europe/Berlin`, not checked yet.
    pub time_zone: String,
}

/// The length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// A day.
    Day,
    /// A week from Monday.
    Week,
    /// A calendar month.
    Month,
}

impl Interval {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// Returns the name, which is also that of Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Returns the first date of the period after the one that begins at `start`.
    fn next(self, start: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => start.checked_add_days(Days::new(1)),
            Self::Week => start.checked_add_days(Days::new(7)),
            Self::Month => start.checked_add_months(Months::new(1)),
        }
    }

    /// Returns the minimum number of days of a period.
    fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 28,
        }
    }
}

/// The response: every period from first to last, including those without entries.
#[derive(Debug, PartialEq, Serialize)]
pub struct Trend {
    interval: Interval,
    /// The time zone in which periods begin at midnight.
    tz: String,
    /// The periods, oldest first.
    items: Vec<Period>,
}

/// The numbers of entries that were created in a period.
#[derive(Debug, PartialEq, Serialize)]
struct Period {
    /// The first date of the period.
    start: NaiveDate,
    #[serde(flatten)]
    totals: Totals,
}

impl Trend {
    /// Lists the periods from the one that begins at `first_start` to the one that contains `last_date`.
    ///
    /// `counted` has the periods with entries, oldest first.
    ///
    /// # Errors
    /// The first error of `counted`.
    pub fn new(
        query: &TrendQuery,
        first_start: NaiveDate,
        last_date: NaiveDate,
        counted: impl Iterator<Item = Result<(NaiveDate, Totals), Error>>,
    ) -> Result<Self, Error> {
        let counted: HashMap<NaiveDate, Totals> = counted.collect::<Result<_, _>>()?;
        let starts = iter::successors(Some(first_start), |start| query.interval.next(*start));
        let items = starts
            .take_while(|start| *start <= last_date)
            .map(|start| Period {
                start,
                totals: counted.get(&start).copied().unwrap_or_default(),
            });
        Ok(Self {
            interval: query.interval,
            tz: query.time_zone.clone(),
            items: items.collect(),
        })
    }
}

impl FromRequest for TrendQuery {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Self::parse(request.query(), Utc::now().date_naive())
    }
}

impl TrendQuery {
    /// Parses the query.
    ///
    /// # Errors
    /// `validation_error` for parameters that are invalid or occur twice, and for more than 4,000 periods.
    fn parse(
        query: impl Iterator<Item = (String, String)>,
        today: NaiveDate,
    ) -> Result<Self, Error> {
        let mut parameters = Parameters::new(query);
        let interval = parameters.parse("interval", "must be day, week or month", Interval::parse);
        let interval = interval.unwrap_or(Interval::Day);
        let date = "must be a date such as 2026-01-31";
        let to = parameters.parse("to", date, parse_date);
        let from = parameters.parse("from", date, parse_date);
        let time_zone = parameters.parse("tz", INVALID_TIME_ZONE, |text| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
            ((1..=64).contains(&text.len()) && text.bytes().all(is_name)).then(|| text.to_owned())
        });
        parameters.finish()?;
        // Today's date in the time zone is at most one day from the date in UTC.
        let days = from.map(|from| to.unwrap_or(today + Days::new(1)) - from);
        let periods = days.map_or(0, |days| days.num_days() / interval.days());
        if days.is_some_and(|days| days < TimeDelta::zero()) || periods > MAX_PERIODS {
            return Err(Error::invalid(
                "from",
                "must be before to, and at most 4000 periods earlier",
            ));
        }
        Ok(Self {
            interval,
            from,
            to,
            time_zone: time_zone.unwrap_or_else(|| "UTC".into()),
        })
    }
}

/// The reason in `details` for an unknown time zone.
pub const INVALID_TIME_ZONE: &str = "must be an IANA time zone such as Europe/Berlin";

fn parse_date(text: &str) -> Option<NaiveDate> {
    let date: NaiveDate = text.parse().ok()?;
    // The first of 30 periods up to a date must have a year of four digits as well.
    (100..=9999).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn parse(query: &str) -> Result<TrendQuery, Error> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        TrendQuery::parse(pairs, date("2026-11-25"))
    }

    #[test]
    fn defaults_to_days_in_utc() {
        assert_eq!(
            parse("to=2026-11-25"),
            Ok(TrendQuery {
                interval: Interval::Day,
                from: None,
                to: Some(date("2026-11-25")),
                time_zone: "UTC".into(),
            })
        );
    }

    #[test]
    fn adds_periods_without_entries() {
        let query = parse("interval=month").expect("is valid");
        let february = (date("2026-02-01"), Totals::new(3, 2, 1));
        let trend = Trend::new(
            &query,
            date("2026-01-01"),
            date("2026-03-15"),
            [Ok(february)].into_iter(),
        );
        let items = trend.map(|trend| trend.items).expect("is valid");
        let expected = [
            ("2026-01-01", Totals::default()),
            ("2026-02-01", Totals::new(3, 2, 1)),
            ("2026-03-01", Totals::default()),
        ];
        assert_eq!(
            items,
            expected.map(|(start, totals)| Period {
                start: date(start),
                totals
            })
        );
    }

    #[test]
    fn rejects_invalid_values_by_field() {
        for (query, field) in [
            ("interval=year", "interval"),
            ("from=now", "from"),
            ("from=2026-11-27", "from"),
            ("from=2026-02-02&to=2026-02-01", "from"),
            ("from=2000-01-01", "from"),
            ("to=2026-02-30", "to"),
            ("to=0099-12-31", "to"),
            ("tz=Mars Base", "tz"),
            ("tz=", "tz"),
        ] {
            let Err(Error::Validation(details)) = parse(query) else {
                panic!("{query} should be invalid");
            };
            assert_eq!(details.into_keys().collect::<Vec<_>>(), [field], "{query}");
        }
    }
}
