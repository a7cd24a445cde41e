//! The SQL of the export.

use thought_diary::{Error, pg::Database, session::Session};

/// The parts of an export, in their order.
#[derive(Clone, Copy)]
pub enum Part {
    /// The account.
    Account,
    /// Its sessions.
    Sessions,
    /// The rows of the audit log.
    AuditLog,
    /// The entries.
    Diaries,
}

impl Part {
    /// Returns the part after this one.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Account => Some(Self::Sessions),
            Self::Sessions => Some(Self::AuditLog),
            Self::AuditLog => Some(Self::Diaries),
            Self::Diaries => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Sessions => "sessions",
            Self::AuditLog => "audit_log",
            Self::Diaries => "diaries",
        }
    }
}

/// At most 100 rows of a part.
pub struct Page {
    /// JSON, one object per line.
    pub lines: String,
    /// The position at which the next page begins.
    pub last_row: String,
}

/// Returns the first page of a part, or the one after a row. `None` if there is none.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn page(
    database: &Database,
    session: &Session,
    part: Part,
    after: Option<String>,
) -> Result<Option<Page>, Error> {
    let statement = session
        .statement(
            "-- auth::export::db::page()
            select is_active, lines, last_row from account_export(
                session_id => $session_id, owner => $user_id, part => $part, after => $after
            )",
        )
        .bind("part", part.as_str())
        .bind("after", after);
    let row = database.row(statement).await?;
    let row = row.ok_or_else(|| Error::Internal("account_export() returned no row".into()))?;
    if !row.get::<bool>("is_active")? {
        return Err(Error::TokenRevoked);
    }
    match row.get("lines")? {
        Some(lines) => Ok(Some(Page {
            lines,
            last_row: row.get("last_row")?,
        })),
        None => Ok(None),
    }
}
