//! A connection to a test's Postgres.

use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Client, NoTls, Row};

/// A connection that fails the test when a statement fails.
pub struct Database(Client);

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Database {
    /// Connects to a database.
    pub async fn connect(url: &str) -> Self {
        let connected = tokio_postgres::connect(url, NoTls).await;
        let (client, connection) = connected.expect("Postgres accepts connections");
        tokio::spawn(connection);
        Self(client)
    }

    /// Returns all rows.
    pub async fn rows(&self, statement: &str, parameters: Parameters<'_>) -> Vec<Row> {
        let rows = self.0.query(statement, parameters).await;
        rows.unwrap_or_else(|error| panic!("{error:?} in {statement}"))
    }

    /// Returns the first column of every row.
    pub async fn column<T>(&self, statement: &str) -> Vec<T>
    where
        T: for<'a> FromSql<'a>,
    {
        let rows = self.rows(statement, &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Returns the first column of the only row.
    pub async fn value<T>(&self, statement: &str, parameters: Parameters<'_>) -> T
    where
        T: for<'a> FromSql<'a>,
    {
        let rows = self.rows(statement, parameters).await;
        assert_eq!(rows.len(), 1, "{statement}");
        rows[0].get(0)
    }

    /// Executes a statement and returns the number of rows that it changed.
    pub async fn execute(&self, statement: &str, parameters: Parameters<'_>) -> u64 {
        let changed = self.0.execute(statement, parameters).await;
        changed.unwrap_or_else(|error| panic!("{error:?} in {statement}"))
    }

    /// Executes several statements.
    pub async fn batch(&self, statements: &str) {
        let executed = self.0.batch_execute(statements).await;
        executed.unwrap_or_else(|error| panic!("{error:?} in {statements}"));
    }

    /// Executes a statement that must fail and returns the error's SQLSTATE.
    pub async fn sqlstate(&self, statement: &str) -> String {
        let error = self.0.batch_execute(statement).await.expect_err(statement);
        let code = error.code().expect("the server reported the error");
        code.code().to_owned()
    }
}
