//! The page of the list that a request asks for.

use thought_diary::{
    Error,
    error::Details,
    http::{FromRequest, Request},
};

const DEFAULT_PER_PAGE: i64 = 10;
const MAX_PER_PAGE: i64 = 100;

/// Keeps `page * per_page` within a 64-bit integer.
const MAX_PAGE: i64 = 1_000_000_000;

/// `?page=1&per_page=10`.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// The number of the page, from 1.
    pub number: i64,
    /// The number of entries per page, 1 to 100.
    pub per_page: i64,
}

impl FromRequest for Page {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        Self::parse(request.query())
    }
}

impl Page {
    /// Parses the query. Unknown parameters are ignored.
    ///
    /// # Errors
    /// `validation_error` for a parameter that is not a number, is out of range, or occurs twice.
    fn parse(query: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut number = None;
        let mut per_page = None;
        let mut details = Details::new();
        for (name, value) in query {
            let (field, max, slot) = match name.as_str() {
                "page" => ("page", MAX_PAGE, &mut number),
                "per_page" => ("per_page", MAX_PER_PAGE, &mut per_page),
                _ => continue,
            };
            match value.parse() {
                Ok(value) if (1..=max).contains(&value) && slot.is_none() => *slot = Some(value),
                _ => {
                    details.insert(
                        field,
                        vec![format!("must be one whole number from 1 to {max}").into()],
                    );
                }
            }
        }
        if !details.is_empty() {
            return Err(Error::Validation(details));
        }
        Ok(Self {
            number: number.unwrap_or(1),
            per_page: per_page.unwrap_or(DEFAULT_PER_PAGE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Page, Error> {
        Page::parse(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn defaults_to_the_first_page_of_ten() {
        assert_eq!(
            parse(&[("x", "y")]),
            Ok(Page {
                number: 1,
                per_page: 10
            })
        );
    }

    #[test]
    fn rejects_invalid_values_by_field() {
        for (name, value) in [
            ("page", "0"),
            ("page", "-1"),
            ("page", ""),
            ("page", "1.5"),
            ("page", "99999999999999999999"),
            ("per_page", "101"),
            ("per_page", "ten"),
        ] {
            let Err(Error::Validation(details)) = parse(&[(name, value)]) else {
                panic!("{name}={value} should be invalid");
            };
            assert_eq!(details.into_keys().collect::<Vec<_>>(), [name]);
        }
        assert!(parse(&[("page", "1"), ("page", "2")]).is_err());
    }
}
