//! Which page of the list is asked for.

use thought_diary::{Error, error::Details};

const DEFAULT_PER_PAGE: i64 = 10;
const MOST_PER_PAGE: i64 = 100;

/// Pages beyond this are refused; a thousand entries a day would take millennia to get there.
const LAST_PAGE: i64 = 1_000_000_000;

/// `?page=1&per_page=10`, counted from one.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// From 1.
    pub number: i64,
    /// 1 to 100.
    pub per_page: i64,
}

impl Page {
    /// Reads the query; unknown parameters are left alone.
    ///
    /// # Errors
    /// `validation_error` for what is no number, out of range or given twice.
    pub fn parse(query: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut number = None;
        let mut per_page = None;
        let mut details = Details::new();
        for (name, value) in query {
            let (field, most, slot) = match name.as_str() {
                "page" => ("page", LAST_PAGE, &mut number),
                "per_page" => ("per_page", MOST_PER_PAGE, &mut per_page),
                _ => continue,
            };
            match value.parse() {
                Ok(value) if (1..=most).contains(&value) && slot.is_none() => *slot = Some(value),
                _ => {
                    details.insert(
                        field,
                        vec![format!("must be one whole number from 1 to {most}").into()],
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
    fn the_first_page_of_ten_is_the_default() {
        assert_eq!(
            parse(&[("x", "y")]),
            Ok(Page {
                number: 1,
                per_page: 10
            })
        );
    }

    #[test]
    fn nonsense_is_refused_by_field() {
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
                panic!("{name}={value} should be refused");
            };
            assert!(details.contains_key(name));
        }
        assert!(parse(&[("page", "1"), ("page", "2")]).is_err());
    }
}
