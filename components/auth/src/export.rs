//! `GET /auth/me/export`: everything that is stored about a user, as JSON lines.

mod db;

use bytes::Bytes;
use futures::stream::try_unfold;
use thought_diary::{Error, Response, http::Context, response::json_lines, session::Session};

use crate::config::Config;
use db::Part;

/// The position at which an export continues.
struct Position {
    config: &'static Config,
    session: Session,
    part: Part,
    /// The last row of the page before. `None` at the beginning of a part.
    after: Option<String>,
}

impl Position {
    /// Returns the next page and the position after it. `None` at the end.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            let page = db::page(
                &self.config.database,
                &self.session,
                self.part,
                self.after.take(),
            );
            if let Some(page) = page.await? {
                self.after = Some(page.last_row);
                return Ok(Some((page.lines.into(), self)));
            }
            match self.part.next() {
                Some(part) => self.part = part,
                None => return Ok(None),
            }
        }
    }
}

/// `GET /auth/me/export`
///
/// Every page is a statement of its own, so that neither the component nor
/// Postgres holds more than one. Entries that change during the export appear in
/// their old or their new state.
pub async fn export(
    context: Context,
    config: &'static Config,
    session: Session,
) -> Result<Response, Error> {
    // Before the response begins, because its status cannot change afterwards.
    crate::db::session_user(&config.database, &session).await?;
    let start = Position {
        config,
        session,
        part: Part::Account,
        after: None,
    };
    context.set_body(Box::pin(try_unfold(start, Position::next)));
    Ok(json_lines())
}
