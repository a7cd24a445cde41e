//! The SQL of `thought_diaries`, `user_stats` and `idempotency_keys`: one statement per function.
//!
//! Postgres builds the JSON of a diary (`diary_json`), so that one column
//! crosses to the component instead of nine. Triggers maintain `user_stats`.

use std::time::Duration;

use thought_diary::{
    Error,
    analysis::{Analysis, Fallback},
    pg::{Database, Row, Statement},
    session::{SESSION_IS_ACTIVE, Session},
};

use crate::{
    conditional::Tagged,
    entry::{Content, Draft, Id},
    sentiment::Failure,
};

mod list;
mod stats;
mod write_limit;

pub use list::list;
pub use stats::{stats, trend};
pub use write_limit::{COUNTED, WriteLimit};

/// A draft to store, with the marks that exist before the model is called.
pub struct NewVersion<'a> {
    /// The draft.
    pub draft: &'a Draft,
    /// The model's cached marks or the lexicon's. `None` stores the entry without marks.
    pub analysis: Option<Analysis>,
    /// The time for which the sweep skips the entry, because the request still calls the model.
    pub lease: Duration,
}

/// The arguments of `diary_create` and `diary_update` that [`NewVersion::bind`] binds.
const VERSION_ARGUMENTS: &str = "
    session_id => counted.session_id, owner => $user_id,
    content => $content, analyzed_content => $analyzed_content,
    positive_count => $positive_count, negative_count => $negative_count,
    analyzed_by => $analyzed_by, analysis_status => $analysis_status,
    retry_after_seconds => $retry_after";

impl NewVersion<'_> {
    fn bind(self, statement: Statement) -> Statement {
        bind_analysis(statement, &self.draft.content, self.analysis)
            .bind("retry_after", self.lease.as_secs_f64())
    }
}

/// An idempotency key, with the digest of the request that it belongs to.
pub struct NewKey {
    /// The key.
    pub key: String,
    /// The digest to store.
    pub digest: String,
    /// The digest that an instance with the other of two secret keys has stored. `None` if there is one secret key.
    pub previous_digest: Option<String>,
}

/// An entry that was written.
pub struct Stored {
    /// Its id.
    pub id: i32,
    /// The entry.
    pub diary: Tagged,
    /// True if the entry now has the given analysis. False for a repeated
    /// request and for a text that did not change.
    pub analysis_stored: bool,
}

/// Stores a new entry, or returns the one that an earlier request with the same key stored.
///
/// # Errors
/// `rate_limit_exceeded`; `token_revoked`; `idempotency_key_reused` for another text under the same
/// key; `not_found` if the entry of the key was deleted.
pub async fn create(
    database: &Database,
    session: &Session,
    limit: WriteLimit<'_>,
    version: NewVersion<'_>,
    key: Option<NewKey>,
) -> Result<Stored, Error> {
    let (key, digest, previous_digest) = match key {
        Some(key) => (Some(key.key), Some(key.digest), key.previous_digest),
        None => (None, None, None),
    };
    // The digest that is stored, if it is that of the other secret key.
    let expected_digest = match previous_digest {
        Some(_) => {
            "coalesce((
                select request_digest from idempotency_keys
                where user_id = $user_id and key = $key and request_digest = $previous_digest
            ), $digest)"
        }
        None => "$digest",
    };
    let mut statement = session
        .statement(format!(
            "-- entries::db::create()
            select writes, seconds_left, outcome, diary_id, diary, etag(diary) as etag, analysis_stored
            from {COUNTED}, diary_create(
                {VERSION_ARGUMENTS}, idempotency_key => $key, request_digest => {expected_digest}
            )"
        ))
        .bind("key", key)
        .bind("digest", digest);
    if let Some(previous_digest) = previous_digest {
        statement = statement.bind("previous_digest", previous_digest);
    }
    let statement = limit.bind(version.bind(statement));
    let row = checked_write(database.row(statement).await?, limit)?;
    let id = row.get("diary_id")?;
    decode_stored(&row, id)
}

/// Replaces the text of an entry. `if_match` lists the entity tags of which the entry must have one.
///
/// # Errors
/// `rate_limit_exceeded`; `token_revoked`; `forbidden` for another user's entry; `not_found`; `precondition_failed`.
pub async fn update(
    database: &Database,
    session: &Session,
    limit: WriteLimit<'_>,
    id: Id,
    version: NewVersion<'_>,
    if_match: Option<Vec<String>>,
) -> Result<Stored, Error> {
    let statement = session
        .statement(format!(
            "-- entries::db::update()
            select writes, seconds_left, outcome, diary, etag(diary) as etag, analysis_stored
            from {COUNTED}, diary_update({VERSION_ARGUMENTS}, diary_id => $id, if_match => $if_match)"
        ))
        .bind("id", id.get())
        .bind("if_match", if_match);
    let statement = limit.bind(version.bind(statement));
    let row = checked_write(database.row(statement).await?, limit)?;
    decode_stored(&row, id.get())
}

/// Deletes an entry.
///
/// # Errors
/// As [`update`].
pub async fn delete(
    database: &Database,
    session: &Session,
    limit: WriteLimit<'_>,
    id: Id,
    if_match: Option<Vec<String>>,
) -> Result<(), Error> {
    let statement = session
        .statement(format!(
            "-- entries::db::delete()
            select writes, seconds_left, outcome from {COUNTED}, diary_delete(
                session_id => counted.session_id, owner => $user_id, diary_id => $id, if_match => $if_match
            )"
        ))
        .bind("id", id.get())
        .bind("if_match", if_match);
    checked_write(database.row(limit.bind(statement)).await?, limit).map(drop)
}

/// Attaches a new analysis to an entry, if its text is still `content`.
///
/// Returns the entry. Returns `None`, and changes nothing, if it was deleted, has
/// another text by now, or has the model's marks and the model failed this time.
/// A text on which the model failed is retried after 1, 4, 16 and 64 minutes. If the
/// model must not be called for the user, only the time of the retry changes.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn attach(
    database: &Database,
    id: i32,
    content: &Content,
    analysis: Result<Analysis, Failure>,
) -> Result<Option<Tagged>, Error> {
    if let Err(Failure::Limited(seconds)) = analysis {
        return postpone(database, id, seconds).await.map(|()| None);
    }
    let text_failed = match &analysis {
        Ok(analysis) => analysis.fallback == Some(Fallback::Unusable),
        Err(failure) => *failure == Failure::Text,
    };
    let statement = Statement::new(
        "-- entries::db::attach()
        select diary, etag(diary) as etag
        from diary_attach(
            diary_id => $id, content => $content, analyzed_content => $analyzed_content,
            positive_count => $positive_count, negative_count => $negative_count,
            analyzed_by => $analyzed_by, analysis_status => $analysis_status, text_failed => $text_failed
        )
        where diary is not null",
    )
    .bind("id", id)
    .bind("text_failed", text_failed);
    let row = database
        .row(bind_analysis(statement, content, analysis.ok()))
        .await?;
    row.map(|row| decode_tagged(&row)).transpose()
}

/// Makes the sweep skip an entry that waits for the model for this number of seconds.
async fn postpone(database: &Database, id: i32, seconds: u64) -> Result<(), Error> {
    let statement = Statement::new(
        "-- entries::db::postpone()
        update thought_diaries set
            analysis_retry_at = now() at time zone 'utc' + make_interval(secs => $seconds)
        where id = $id and analysis_status in ('pending', 'no_model')",
    )
    .bind("id", id)
    .bind("seconds", seconds as f64);
    database.row(statement).await.map(drop)
}

/// Returns an entry.
///
/// # Errors
/// `token_revoked`; `forbidden` for another user's entry; `not_found`.
pub async fn read(database: &Database, session: &Session, id: Id) -> Result<Tagged, Error> {
    let statement = session.statement(format!(
        "-- entries::db::read()
        select outcome, diary, etag(diary) as etag from (
            select
                case when not {SESSION_IS_ACTIVE} then 'revoked'
                    when entry.id is null then 'not_found'
                    when user_id <> $user_id then 'forbidden'
                    else 'ok'
                end as outcome,
                case when user_id = $user_id then diary_json(entry) end as diary
            -- One row even if the entry does not exist.
            from (select) one left join thought_diaries entry on entry.id = $id
        ) found"
    ));
    decode_tagged(&checked(
        database.row(statement.bind("id", id.get())).await?,
    )?)
}

/// The text of an entry that is to be analyzed again.
pub struct ForAnalysis {
    /// The text.
    pub content: Content,
    /// True if the model has failed on the text so often that it is not called again.
    pub is_failed: bool,
}

/// Counts a write, and returns the text of an entry.
///
/// # Errors
/// `rate_limit_exceeded`, and those of [`read`].
pub async fn for_analysis(
    database: &Database,
    session: &Session,
    limit: WriteLimit<'_>,
    id: Id,
) -> Result<ForAnalysis, Error> {
    let statement = session.statement(format!(
        "-- entries::db::for_analysis()
        select
            writes,
            seconds_left,
            case when not {SESSION_IS_ACTIVE} then 'revoked'
                when entry.id is null then 'not_found'
                when user_id <> $user_id then 'forbidden'
                else 'ok'
            end as outcome,
            content,
            analysis_status = 'failed' as is_failed
        -- One row even if the entry does not exist.
        from {COUNTED} left join thought_diaries entry on entry.id = $id"
    ));
    let statement = limit.bind(statement.bind("id", id.get()));
    let row = checked_write(database.row(statement).await?, limit)?;
    Ok(ForAnalysis {
        content: Content::from_database(row.get("content")?),
        is_failed: row.get("is_failed")?,
    })
}

/// Binds a text and its analysis: the parameters `$content`, `$analyzed_content`,
/// `$positive_count`, `$negative_count`, `$analyzed_by` and `$analysis_status`.
fn bind_analysis(statement: Statement, content: &Content, analysis: Option<Analysis>) -> Statement {
    let status = analysis_status(analysis.as_ref());
    let counts = analysis
        .as_ref()
        .map(|analysis| (analysis.positive_count, analysis.negative_count));
    let analyzer = analysis
        .as_ref()
        .map(|analysis| analysis.analyzed_by.as_str());
    statement
        .bind("content", content.as_str())
        .bind("positive_count", counts.map(|(positive, _)| positive))
        .bind("negative_count", counts.map(|(_, negative)| negative))
        .bind("analyzed_by", analyzer)
        .bind("analysis_status", status)
        .bind(
            "analyzed_content",
            analysis.map(|analysis| analysis.analyzed_content),
        )
}

/// Returns the value of the column `analysis_status`, which `migrations/0005` explains.
fn analysis_status(analysis: Option<&Analysis>) -> &'static str {
    let Some(analysis) = analysis else {
        return "pending";
    };
    match analysis.fallback {
        None => "done",
        Some(Fallback::NoModel) => "no_model",
        Some(
            Fallback::Pending | Fallback::Unavailable | Fallback::Limited(_) | Fallback::Unusable,
        ) => "pending",
    }
}

/// Returns the row of a statement if its column `outcome` is `ok`, otherwise the error that the outcome means.
fn checked(row: Option<Row>) -> Result<Row, Error> {
    let row = row.ok_or_else(|| Error::Internal("a statement returned no row".into()))?;
    check_outcome(&row.get::<String>("outcome")?)?;
    Ok(row)
}

/// Returns the row of a statement that counts a write if the write is within its limit and its outcome is `ok`.
fn checked_write(row: Option<Row>, limit: WriteLimit<'_>) -> Result<Row, Error> {
    if let Some(row) = &row {
        limit.check(row)?;
    }
    checked(row)
}

fn check_outcome(outcome: &str) -> Result<(), Error> {
    match outcome {
        "ok" => Ok(()),
        "revoked" => Err(Error::TokenRevoked),
        "forbidden" => Err(Error::Forbidden),
        "not_found" => Err(Error::NotFound),
        "precondition_failed" => Err(Error::PreconditionFailed),
        "key_reused" => Err(Error::IdempotencyKeyReused),
        _ => Err(Error::Internal(
            "a statement returned an unknown outcome".into(),
        )),
    }
}

fn decode_tagged(row: &Row) -> Result<Tagged, Error> {
    Ok(Tagged {
        json: row.get("diary")?,
        etag: row.get("etag")?,
    })
}

fn decode_stored(row: &Row, id: i32) -> Result<Stored, Error> {
    Ok(Stored {
        id,
        diary: decode_tagged(row)?,
        analysis_stored: row.get("analysis_stored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_outcomes_to_errors() {
        for (outcome, result) in [
            ("ok", Ok(())),
            ("revoked", Err(Error::TokenRevoked)),
            ("forbidden", Err(Error::Forbidden)),
            ("not_found", Err(Error::NotFound)),
            ("precondition_failed", Err(Error::PreconditionFailed)),
            ("key_reused", Err(Error::IdempotencyKeyReused)),
        ] {
            assert_eq!(check_outcome(outcome), result, "{outcome}");
        }
        assert!(matches!(check_outcome("?"), Err(Error::Internal(_))));
    }
}
