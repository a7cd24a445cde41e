//! Postgres: one open and one statement per request, under a deadline.
//!
//! Spin pools the connections, so they are never kept here: an instance that
//! lingers would keep them from the others. There are no transactions either,
//! since the pool hands an open one on to the next request; every change is a
//! single statement.

use std::time::Duration;

use spin_sdk::pg::{Connection, DbValue, ParameterValue, PgError, QueryError};
use url::Url;

use crate::{
    Error,
    config::{self, Secret},
    deadline::{Progress, within_each},
};

/// Time for opening, and for each step of the statement; leaves room to answer within three seconds.
const DEADLINE: Duration = Duration::from_millis(2600);

/// Time after which Postgres itself ends the statement. Giving up on our side
/// leaves it running, and its connection busy for whoever gets it next.
const STATEMENT_TIMEOUT: &str = "-c statement_timeout=2500";

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Database {
    address: Secret,
}

impl Database {
    /// Reads the variable `database_url`.
    ///
    /// # Errors
    /// `service_unavailable` when it is not a Postgres URL.
    pub async fn from_variable() -> Result<Self, Error> {
        config::parsed(
            "database_url",
            "a URL such as postgres://user:password@host:5432/database",
            Self::parse,
        )
        .await
    }

    /// Takes a URL and adds the time limits that it does not set itself.
    fn parse(value: &str) -> Option<Self> {
        let mut url = Url::parse(value).ok()?;
        if !matches!(url.scheme(), "postgres" | "postgresql") || !url.has_host() {
            return None;
        }
        for (name, default) in [("connect_timeout", "2"), ("options", STATEMENT_TIMEOUT)] {
            if !url.query_pairs().any(|(present, _)| present == name) {
                url.query_pairs_mut().append_pair(name, default);
            }
        }
        // Form encoding writes a blank as `+`, which is not decoded in a connection URL.
        let query = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(query.as_deref());
        Some(Self {
            address: Secret::new(url),
        })
    }

    /// Runs one statement that gives one row at most.
    ///
    /// # Errors
    /// `service_unavailable` when the database is away, overloaded or too slow;
    /// `internal_error` when it refuses the statement.
    pub async fn row(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<Option<Vec<DbValue>>, Error> {
        let work =
            async |progress: &Progress| self.first_row(statement, parameters, progress).await;
        within_each(DEADLINE, work)
            .await
            .unwrap_or_else(|| Err(Error::Unavailable("Postgres did not answer in time".into())))
    }

    async fn first_row(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
        progress: &Progress,
    ) -> Result<Option<Vec<DbValue>>, Error> {
        let connection = Connection::open(self.address.expose())
            .await
            .map_err(failure)?;
        progress.step();
        let mut result = connection
            .query(statement, parameters)
            .await
            .map_err(failure)?;
        progress.step();
        let row = result.rows().next().await;
        progress.step();
        // A statement's own failure shows only here, after its rows.
        result.result().await.map_err(failure)?;
        Ok(row)
    }
}

/// Tells a database that is away from a statement that is wrong. The texts of
/// the host are left out: they hold addresses, statements and stack traces.
fn failure(error: spin_sdk::pg::Error) -> Error {
    match error {
        spin_sdk::pg::Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            let cause = format!("Postgres refused a statement: SQLSTATE {}", error.code);
            if is_passing(&error.code) {
                Error::Unavailable(cause)
            } else {
                Error::Internal(cause)
            }
        }
        spin_sdk::pg::Error::PgError(PgError::ConnectionFailed(_)) => {
            Error::Unavailable("Postgres could not be reached".into())
        }
        spin_sdk::pg::Error::PgError(PgError::QueryFailed(QueryError::Text(_))) => {
            Error::Unavailable("the connection to Postgres broke".into())
        }
        spin_sdk::pg::Error::PgError(PgError::BadParameter(_)) => {
            Error::Internal("Postgres was given a bad parameter".into())
        }
        spin_sdk::pg::Error::PgError(PgError::ValueConversionFailed(_))
        | spin_sdk::pg::Error::Decode(_) => {
            Error::Internal("a value from Postgres has an unexpected type".into())
        }
        spin_sdk::pg::Error::PgError(PgError::Other(_)) => {
            Error::Unavailable("Postgres failed for another reason".into())
        }
    }
}

/// SQLSTATE classes that end by themselves: connection trouble, too little of
/// something, a server that stops or starts, a deadlock, a read-only standby.
fn is_passing(code: &str) -> bool {
    ["08", "53", "57", "40", "25006"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// Takes the value of a column that is never null.
///
/// # Errors
/// `internal_error` when it is missing or has another type.
pub fn column<T: spin_sdk::pg::Decode>(row: &[DbValue], index: usize) -> Result<T, Error> {
    row.get(index)
        .and_then(|value| T::decode(value).ok())
        .ok_or_else(|| Error::Internal(format!("column {index} of a row has an unexpected type")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Option<String> {
        Database::parse(url).map(|database| database.address.expose().to_owned())
    }

    #[test]
    fn limits_are_added_to_the_address() {
        assert_eq!(
            address("postgres://u:p%40ss@db/diary").as_deref(),
            Some(
                "postgres://u:p%40ss@db/diary?connect_timeout=2&options=-c%20statement_timeout%3D2500"
            )
        );
    }

    #[test]
    fn limits_in_the_address_win() {
        let kept = address("postgresql://db/diary?connect_timeout=9&options=-c%20x%3D1");
        assert_eq!(
            kept.as_deref(),
            Some("postgresql://db/diary?connect_timeout=9&options=-c%20x%3D1")
        );
    }

    #[test]
    fn other_addresses_are_refused() {
        for bad in ["", "db/diary", "mysql://db/diary", "postgres:"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_stopping_server_is_not_a_defect() {
        assert!(is_passing("57P01") && is_passing("53300") && is_passing("08006"));
        assert!(!is_passing("42703") && !is_passing("23505"));
    }
}
