//! Postgres: one connection and one statement per request, under a timeout.
//!
//! A component never keeps a connection. Spin pools them, and an instance that
//! is about to end would hold connections that others wait for. Every change is
//! a single statement, because Spin has no transactions: its pool passes a
//! connection with an open transaction on to the next request.

mod statement;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use spin_sdk::pg::{self as sdk, Connection, Decode, ParameterValue, PgError, QueryError};
use url::Url;

use crate::{
    config::{self, Secret},
    error::Error,
    metrics,
    timeout::{Progress, timeout_per_step},
    timings::{Server, measure},
};
pub use statement::{IntoParameter, Statement, Uuid};

/// Timeout of opening a connection and of each step of the statement. Postgres
/// cancels a statement before that, by default after 2.5 s.
const STEP_TIMEOUT: Duration = Duration::from_millis(2600);

/// Default of `connect_timeout` in the URL, which the host applies.
const CONNECT_TIMEOUT_SECONDS: &str = "2";

/// The address of the database, with timeouts.
#[derive(Clone, Debug)]
pub struct Database {
    address: Secret,
}

impl Database {
    /// Reads the variables `database_url` and `database_statement_timeout`.
    ///
    /// # Errors
    /// `service_unavailable` when one of them is invalid.
    pub async fn from_variables() -> Result<Self, Error> {
        let statement_timeout = config::parsed(
            "database_statement_timeout",
            "a number of milliseconds from 1 to 600000, or off",
            parse_statement_timeout,
        )
        .await?;
        config::parsed(
            "database_url",
            "a URL such as postgres://user:password@host:5432/database?sslmode=verify-full, \
             without sslrootcert (set SSL_CERT_FILE in the environment of the host instead)",
            |url| Self::parse(url, statement_timeout),
        )
        .await
    }

    /// Parses a URL and adds the timeouts that it does not set itself, and `jit=off`.
    ///
    /// Postgres has to cancel statements too: the component's own timeout leaves
    /// the statement running, and the next request would get its busy connection.
    fn parse(value: &str, statement_timeout: Option<u32>) -> Option<Self> {
        let mut url = Url::parse(value).ok()?;
        if !matches!(url.scheme(), "postgres" | "postgresql") || !url.has_host() {
            return None;
        }
        let mut parameters: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        // The host reads certificates from SSL_CERT_FILE only.
        if parameters.contains_key("sslrootcert") {
            return None;
        }
        // The host knows `require` as its strictest mode, and verifies certificate and host name in it.
        if let Some(mode) = parameters.get_mut("sslmode")
            && mode.starts_with("verify-")
        {
            *mode = "require".into();
        }
        let connect_timeout = parameters.entry("connect_timeout".into());
        connect_timeout.or_insert_with(|| CONNECT_TIMEOUT_SECONDS.into());
        let options = parameters.entry("options".into()).or_default();
        if let Some(milliseconds) = statement_timeout {
            // Compiling a statement takes 100 ms and more, which is longer than any runs.
            let settings = [
                ("statement_timeout", milliseconds.to_string()),
                ("jit", "off".into()),
            ];
            for (name, value) in settings {
                if !options.contains(name) {
                    *options = format!("{options} -c {name}={value}");
                }
            }
        }
        if options.trim().is_empty() {
            parameters.remove("options");
        }
        url.query_pairs_mut().clear().extend_pairs(&parameters);
        // Form encoding writes a space as `+`, which connection URLs do not decode.
        let query = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(query.as_deref().filter(|query| !query.is_empty()));
        Some(Self {
            address: Secret::new(url),
        })
    }

    /// Runs a statement that returns at most one row.
    ///
    /// # Errors
    /// `service_unavailable` when the database is unreachable, overloaded or too slow;
    /// `internal_error` when it rejects the statement.
    pub async fn row(&self, statement: Statement) -> Result<Option<Row>, Error> {
        let sql = statement.numbered()?;
        let query =
            async |progress: &Progress| self.first_row(sql, statement.values, progress).await;
        measure(Server::Postgres, timeout_per_step(STEP_TIMEOUT, query))
            .await
            .unwrap_or_else(|| Err(Error::Unavailable("Postgres did not answer in time".into())))
    }

    async fn first_row(
        &self,
        sql: String,
        parameters: Vec<ParameterValue>,
        progress: &Progress,
    ) -> Result<Option<Row>, Error> {
        let start = Instant::now();
        let connection = Connection::open(self.address.expose()).await;
        let component = metrics::component();
        metrics::observe(
            &metrics::POSTGRES_CONNECTION_WAIT,
            &[component],
            start.elapsed(),
        );
        let connection = connection.map_err(into_error)?;
        progress.step();
        let mut result = connection
            .query(sql, parameters)
            .await
            .map_err(into_error)?;
        progress.step();
        let row = result.next().await;
        progress.step();
        // A statement's own failure shows only here, after its rows.
        result.result().await.map_err(into_error)?;
        Ok(row.map(Row))
    }
}

/// One row of a result.
pub struct Row(sdk::Row);

impl Row {
    /// Decodes a column. Decode one that may be null as an `Option`.
    ///
    /// # Errors
    /// `internal_error` when there is no such column or it has another type.
    pub fn get<T: Decode>(&self, column: &str) -> Result<T, Error> {
        self.0.get(column).ok_or_else(|| {
            Error::Internal(format!("column `{column}` of a row has an unexpected type"))
        })
    }
}

/// Parses `off` as no timeout, otherwise milliseconds.
fn parse_statement_timeout(text: &str) -> Option<Option<u32>> {
    match text {
        "off" => Some(None),
        text => text
            .parse()
            .ok()
            .filter(|milliseconds| (1..=600_000).contains(milliseconds))
            .map(Some),
    }
}

/// Distinguishes an unreachable database from an invalid statement. The host's
/// messages are dropped: they contain addresses, statements and stack traces.
fn into_error(error: sdk::Error) -> Error {
    match error {
        sdk::Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            let cause = format!("Postgres rejected a statement: SQLSTATE {}", error.code);
            if is_transient(&error.code) {
                Error::Unavailable(cause)
            } else {
                Error::Internal(cause)
            }
        }
        sdk::Error::PgError(PgError::ConnectionFailed(_)) => {
            Error::Unavailable("Postgres is unreachable".into())
        }
        sdk::Error::PgError(PgError::QueryFailed(QueryError::Text(_))) => {
            Error::Unavailable("the connection to Postgres was lost".into())
        }
        sdk::Error::PgError(PgError::BadParameter(_)) => {
            Error::Internal("Postgres rejected a parameter".into())
        }
        sdk::Error::PgError(PgError::ValueConversionFailed(_)) | sdk::Error::Decode(_) => {
            Error::Internal("a value from Postgres has an unexpected type".into())
        }
        sdk::Error::PgError(PgError::Other(_)) => {
            Error::Unavailable("Postgres failed for an unknown reason".into())
        }
    }
}

/// Returns whether an SQLSTATE is of a class that a retry may resolve: connection failures,
/// insufficient resources, a server that stops or starts, deadlocks, a read-only standby.
fn is_transient(code: &str) -> bool {
    ["08", "53", "57", "40", "25006"]
        .iter()
        .any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Option<String> {
        Database::parse(url, Some(2500)).map(|database| database.address.expose().to_owned())
    }

    #[test]
    fn adds_timeouts_to_the_address() {
        assert_eq!(
            address("postgres://u:p%40ss@db/diary").as_deref(),
            Some(
                "postgres://u:p%40ss@db/diary?connect_timeout=2&options=%20-c%20statement_timeout%3D2500%20-c%20jit%3Doff"
            )
        );
    }

    #[test]
    fn keeps_timeouts_and_options_of_the_address() {
        assert_eq!(
            address("postgresql://db/diary?connect_timeout=9&options=-c%20x%3D1").as_deref(),
            Some(
                "postgresql://db/diary?connect_timeout=9&options=-c%20x%3D1%20-c%20statement_timeout%3D2500%20-c%20jit%3Doff"
            )
        );
        assert_eq!(
            address("postgresql://db/diary?options=-c%20statement_timeout%3D9%20-c%20jit%3Don")
                .as_deref(),
            Some(
                "postgresql://db/diary?connect_timeout=2&options=-c%20statement_timeout%3D9%20-c%20jit%3Don"
            )
        );
    }

    #[test]
    fn sends_no_options_when_the_statement_timeout_is_off() {
        let address = |url| Database::parse(url, None).map(|database| database.address);
        assert_eq!(
            address("postgres://pooler/diary"),
            Some(Secret::new("postgres://pooler/diary?connect_timeout=2"))
        );
    }

    #[test]
    fn requires_verified_tls_for_verify_modes() {
        assert_eq!(
            Database::parse(
                "postgres://db/diary?connect_timeout=2&sslmode=verify-full",
                None
            )
            .map(|database| database.address),
            Some(Secret::new(
                "postgres://db/diary?connect_timeout=2&sslmode=require"
            ))
        );
        assert_eq!(address("postgres://db/diary?sslrootcert=ca.pem"), None);
    }

    #[test]
    fn rejects_other_addresses() {
        for bad in ["", "db/diary", "mysql://db/diary", "postgres:"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn treats_a_stopping_server_as_transient() {
        assert!(is_transient("57P01") && is_transient("53300") && is_transient("08006"));
        assert!(!is_transient("42703") && !is_transient("23505"));
    }
}
