//! The limit on a user's writes, which the statement that writes checks.

use thought_diary::{
    Error,
    http::Context,
    pg::{Row, Statement},
    rate_limit::{Count, Limit},
};

/// An item of a FROM list, `counted`, that counts a write. `counted.session_id` is null where the
/// request must not write. It takes the parameters of [`WriteLimit::bind`].
pub const COUNTED: &str = "write_count(
        session_id => $session_id, owner => $user_id,
        max_writes => $max_writes, window_seconds => $window_seconds
    ) counted";

/// The limit on a user's writes, and the request that is counted.
#[derive(Clone, Copy)]
pub struct WriteLimit<'a> {
    limit: Option<Limit>,
    context: &'a Context,
}

impl<'a> WriteLimit<'a> {
    /// Creates the limit of a request. `None` counts nothing.
    pub fn new(limit: Option<Limit>, context: &'a Context) -> Self {
        Self { limit, context }
    }

    /// Binds the parameters of [`COUNTED`].
    pub fn bind(self, statement: Statement) -> Statement {
        let limit = self.limit;
        statement
            .bind("max_writes", limit.map(|limit| limit.attempts as i64))
            .bind("window_seconds", limit.map(|limit| limit.seconds as f64))
    }

    /// Reads the count of a row, and sets the response's `X-RateLimit-*` headers.
    ///
    /// # Errors
    /// `rate_limit_exceeded`.
    pub fn check(self, row: &Row) -> Result<(), Error> {
        let counted: (Option<i64>, Option<i64>) = (row.get("writes")?, row.get("seconds_left")?);
        let (Some(limit), (Some(writes), Some(seconds_left))) = (self.limit, counted) else {
            return Ok(());
        };
        let count = Count {
            attempts: writes.unsigned_abs(),
            seconds_left: seconds_left.unsigned_abs(),
        };
        count.check(limit.attempts, self.context)
    }
}
