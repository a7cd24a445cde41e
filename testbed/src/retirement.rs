//! The end of the replaced service: its bcrypt hashes are deleted.
//!
//! A login replaces the bcrypt hash of an account by an argon2id hash, and keeps the former in
//! `legacy_password_hash`, so that `migrate down` can bring it back for the replaced service.

use anyhow::{Context, Result, bail};
use tokio_postgres::Client;

use crate::{database, migrate};

/// Rows per transaction, so that a login waits for milliseconds at most.
const BATCH: i64 = 1_000;
/// Accounts that an error names.
const NAMED: usize = 10;

/// The accounts by the hashes that they have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Accounts with an argon2id hash, whose bcrypt hash is kept for the replaced service.
    pub kept: i64,
    /// Accounts whose only hash is a bcrypt hash. They need it until their users log in.
    pub bcrypt_only: i64,
    /// Emails of accounts that only the kept hash could let in again.
    pub without_other: Vec<String>,
}

/// Counts the hashes. Changes nothing.
///
/// # Errors
/// When a migration is pending, or the database is unreachable.
pub async fn hashes(url: &str) -> Result<Hashes> {
    migrate::ensure_current(url).await?;
    count(&database::connect(url).await?).await
}

async fn count(database: &Client) -> Result<Hashes> {
    let statement = "-- retirement::count()
        select
            count(*) filter (where legacy_password_hash is not null) as kept,
            count(*) filter (where password_hash like '$2%') as bcrypt_only,
            coalesce(array_agg(email order by id) filter (
                where legacy_password_hash is not null and password_hash !~ '^\\$(2|argon2id\\$)'
            ), '{}') as without_other
        from users";
    let row = database.query_one(statement, &[]).await?;
    Ok(Hashes {
        kept: row.get("kept"),
        bcrypt_only: row.get("bcrypt_only"),
        without_other: row.get("without_other"),
    })
}

/// Records that the replaced service will not return, and deletes the bcrypt hashes that were kept for it. Returns
/// how many it deleted. Safe to repeat, also after an interruption.
///
/// # Errors
/// When an account would lose its only usable hash; nothing is changed then.
pub async fn finish(url: &str) -> Result<u64> {
    migrate::ensure_current(url).await?;
    let database = database::connect(url).await?;
    let Hashes { without_other, .. } = count(&database).await?;
    if !without_other.is_empty() {
        let named = without_other.iter().take(NAMED);
        let named: Vec<&str> = named.map(String::as_str).collect();
        bail!(
            "{} accounts would have no usable hash left, so nothing was changed: {}. Set a new password for each with `cargo xtask user reset`, then repeat this",
            without_other.len(),
            named.join(", ")
        );
    }
    retire(&database)
        .await
        .context("cannot record that the replaced service will not return: try again")?;
    let mut deleted = 0;
    let mut last_id = i32::MIN;
    loop {
        let ids = delete_batch(&database, last_id).await?;
        let Some(last) = ids.iter().max() else {
            return Ok(deleted);
        };
        deleted += ids.len() as u64;
        last_id = *last;
    }
}

/// From here on, a trigger discards a hash that a login would keep. The lock waits for the logins in progress, so
/// that none of them keeps its hash after the batches have passed its account.
async fn retire(database: &Client) -> Result<(), tokio_postgres::Error> {
    let statements = "-- retirement::retire()
        begin;
        set local lock_timeout = '5s';
        lock table users in share row exclusive mode;
        insert into replaced_service_retirement (retired_at)
            select now() at time zone 'utc' where not exists (select from replaced_service_retirement);
        commit";
    database.batch_execute(statements).await
}

/// Deletes hashes of the next accounts by id, and returns their ids.
async fn delete_batch(database: &Client, after: i32) -> Result<Vec<i32>> {
    let statement = "-- retirement::delete_batch()
        update users set legacy_password_hash = null
        where id in (
            select id from users
            where id > $1 and legacy_password_hash is not null
            order by id limit $2
        ) and password_hash ~ '^\\$(2|argon2id\\$)'
        returning id";
    let rows = database.query(statement, &[&after, &BATCH]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
