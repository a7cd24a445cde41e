//! What operators do with accounts, in the database of the service.

use anyhow::{Context, Result, anyhow, ensure};
use credentials::argon2id;
pub use credentials::{Email, NewPassword};

use crate::database;

/// Letters and digits that are not mistaken for one another.
const LETTERS: &[u8; 56] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// An account, as operators see it. Times are UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `users.id`.
    pub id: i32,
    /// Lower-case.
    pub email: String,
    /// When the account was created.
    pub created: String,
    /// The latest login of the last year, which is as long as the audit log reaches back.
    pub last_login: Option<String>,
    /// Number of entries.
    pub entries: i64,
    /// When the account was disabled; none if it is active.
    pub disabled: Option<String>,
}

/// Creates an account and returns its id.
///
/// # Errors
/// When the email has an account already.
pub async fn add(url: &str, email: &Email, password: &NewPassword) -> Result<i32> {
    let statement = "-- accounts::add()
        with added as (
            insert into users (email, password_hash) values ($1, $2)
            on conflict (email) do nothing
            returning id
        ), logged as (
            insert into audit_log (user_id, action) select id, 'account_created' from added
        )
        select id from added";
    let hash = hash(password)?;
    let row = database::connect(url)
        .await?
        .query_opt(statement, &[&email.as_str(), &hash])
        .await
        .context("the database refused the account")?;
    let row = row.with_context(|| {
        format!(
            "{} has an account already: to set its password, use `cargo xtask user reset`",
            email.as_str()
        )
    })?;
    Ok(row.get(0))
}

/// Returns the accounts whose emails contain `part`, by id.
///
/// # Errors
/// When the database is unreachable or refuses.
pub async fn list(url: &str, part: &str) -> Result<Vec<Account>> {
    let statement = "-- accounts::list()
        with logins as (
            select user_id, max(created_at) as at from audit_log where action = 'logged_in' group by user_id
        )
        select users.id, email,
            to_char(users.created_at, 'YYYY-MM-DD HH24:MI') as created,
            to_char(logins.at, 'YYYY-MM-DD HH24:MI') as last_login,
            coalesce(total_entries, 0)::int8 as entries,
            to_char(disabled_at, 'YYYY-MM-DD HH24:MI') as disabled
        from users
        left join logins on logins.user_id = users.id
        left join user_stats on user_stats.user_id = users.id
        where strpos(email, lower($1)) > 0
        order by users.id";
    let rows = database::connect(url)
        .await?
        .query(statement, &[&part])
        .await
        .context("the database refused to list the accounts")?;
    let account = |row: &tokio_postgres::Row| Account {
        id: row.get("id"),
        email: row.get("email"),
        created: row.get("created"),
        last_login: row.get("last_login"),
        entries: row.get("entries"),
        disabled: row.get("disabled"),
    };
    Ok(rows.iter().map(account).collect())
}

/// Disables an account and ends its sessions. Its data stay.
///
/// # Errors
/// When there is no such account.
pub async fn disable(url: &str, email: &Email) -> Result<()> {
    change(
        url,
        "-- accounts::disable()\nselect account_disable($1)",
        email,
        None,
    )
    .await
}

/// Lets a disabled account log in again.
///
/// # Errors
/// When there is no such account.
pub async fn enable(url: &str, email: &Email) -> Result<()> {
    change(
        url,
        "-- accounts::enable()\nselect account_enable($1)",
        email,
        None,
    )
    .await
}

/// Replaces the password of an account and ends its sessions.
///
/// # Errors
/// When there is no such account.
pub async fn reset(url: &str, email: &Email, password: &NewPassword) -> Result<()> {
    let statement = "-- accounts::reset()\nselect password_reset($1, $2)";
    change(url, statement, email, Some(hash(password)?)).await
}

/// Runs a statement that returns whether the account exists.
async fn change(url: &str, statement: &str, email: &Email, hash: Option<String>) -> Result<()> {
    let email = email.as_str();
    let database = database::connect(url).await?;
    let changed = match hash {
        Some(hash) => database.query_one(statement, &[&email, &hash]).await,
        None => database.query_one(statement, &[&email]).await,
    };
    let changed = changed.context("the database refused to change the account")?;
    ensure!(
        changed.get::<_, bool>(0),
        "no account has the email {email}: `cargo xtask user list` shows all"
    );
    Ok(())
}

/// Returns a random password with 116 bits of entropy, in four groups of five characters.
///
/// # Errors
/// When the system has no random bytes.
pub fn random_password() -> Result<NewPassword> {
    loop {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bytes: {error}"))?;
        // Larger bytes would make the first letters more frequent than the others.
        let unbiased = bytes.iter().map(|byte| usize::from(*byte));
        let unbiased = unbiased.filter(|byte| *byte < 256 / LETTERS.len() * LETTERS.len());
        let letters: Vec<u8> = unbiased.map(|byte| LETTERS[byte % LETTERS.len()]).collect();
        let groups: Vec<_> = letters
            .chunks_exact(5)
            .map(String::from_utf8_lossy)
            .collect();
        // Lacks an upper-case letter or a digit now and then.
        if let Some(groups) = groups.get(..4)
            && let Ok(password) = NewPassword::parse(&groups.join("-"))
        {
            return Ok(password);
        }
    }
}

/// Hashes a password as the service does.
fn hash(password: &NewPassword) -> Result<String> {
    argon2id::hash(password.expose()).context("the password cannot be hashed")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn random_passwords_meet_the_rules_and_differ() {
        let passwords: BTreeSet<String> = (0..100)
            .map(|_| random_password().unwrap().expose().to_owned())
            .collect();
        assert_eq!(passwords.len(), 100);
        for password in passwords {
            let groups: Vec<usize> = password.split('-').map(str::len).collect();
            assert_eq!(groups, [5; 4], "{password}");
        }
    }
}
