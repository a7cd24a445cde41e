//! The SQL of `users` and `sessions`.

use spin_sdk::pg::{DbValue, ParameterValue};
use thought_diary::{
    Error,
    pg::{Database, column},
    session::{LIVE, REFRESH_TTL, Session},
};

use crate::user::{Email, User};

/// Columns of a [`User`]; its times are written by Postgres as the contract has them.
macro_rules! user_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".id, ",
            $table,
            ".email, ",
            "to_char(",
            $table,
            ".created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), ",
            "to_char(",
            $table,
            ".updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        )
    };
}

/// Reads the columns of `user_columns!`, the first of which is at `first`.
fn user(row: &[DbValue], first: usize) -> Result<User, Error> {
    Ok(User {
        id: column(row, first)?,
        email: column(row, first + 1)?,
        created_at: column(row, first + 2)?,
        updated_at: column(row, first + 3)?,
    })
}

/// Creates an account.
///
/// # Errors
/// `user_exists` when the email has one: the unique index decides, however many register at once.
pub async fn create_user(
    database: &Database,
    email: &Email,
    password_hash: String,
) -> Result<User, Error> {
    let row = database
        .row(
            concat!(
                "-- auth::db::create_user()
                insert into users (email, password_hash) values ($1, $2)
                on conflict (email) do nothing
                returning ",
                user_columns!("users")
            ),
            vec![email.as_str().to_owned().into(), password_hash.into()],
        )
        .await?;
    user(&row.ok_or(Error::UserExists)?, 0)
}

/// An account and its password hash.
pub async fn find_user(
    database: &Database,
    email: &Email,
) -> Result<Option<(User, String)>, Error> {
    database
        .row(
            concat!(
                "-- auth::db::find_user()
                select password_hash, ",
                user_columns!("users"),
                " from users where email = $1"
            ),
            vec![email.as_str().to_owned().into()],
        )
        .await?
        .map(|row| Ok((user(&row, 1)?, column(&row, 0)?)))
        .transpose()
}

/// Begins a login, and clears away the user's logins that have expired. A new
/// hash replaces the one that was checked, unless that has changed meanwhile.
///
/// # Errors
/// `invalid_credentials` when the account is gone.
pub async fn create_session(
    database: &Database,
    user_id: i32,
    rehash: Option<(String, String)>,
) -> Result<Session, Error> {
    let (old_hash, new_hash) = rehash.unzip();
    let row = database
        .row(
            "-- auth::db::create_session()
            with expired as (
                delete from sessions
                where user_id = $1 and expires_at <= now()
            ), rehashed as (
                update users set password_hash = $4
                where id = $1 and password_hash = $3
            )
            insert into sessions (user_id, expires_at)
            select id, now() + $2 * interval '1 second'
            from users where id = $1
            returning id::text",
            vec![
                user_id.into(),
                ParameterValue::Floating64(REFRESH_TTL as f64),
                optional(old_hash),
                optional(new_hash),
            ],
        )
        .await?
        .ok_or(Error::InvalidCredentials)?;
    Ok(Session {
        id: column(&row, 0)?,
        user_id,
    })
}

fn optional(text: Option<String>) -> ParameterValue {
    text.map_or(ParameterValue::DbNull, ParameterValue::Str)
}

/// The account that a login belongs to.
///
/// # Errors
/// `token_revoked` when the login has ended.
pub async fn session_user(database: &Database, session: &Session) -> Result<User, Error> {
    let statement = format!(
        concat!(
            "-- auth::db::session_user()
            select ",
            user_columns!("users"),
            " from users join sessions on users.id = sessions.user_id where {}"
        ),
        LIVE
    );
    let row = database.row(&statement, session.parameters([])).await?;
    user(&row.ok_or(Error::TokenRevoked)?, 0)
}

/// Ends a login: both of its tokens are dead for every later statement.
///
/// # Errors
/// `token_revoked` when it had ended already.
pub async fn end_session(database: &Database, session: &Session) -> Result<(), Error> {
    let statement = format!(
        "-- auth::db::end_session()
        delete from sessions where {LIVE}
        returning 1"
    );
    let row = database.row(&statement, session.parameters([])).await?;
    row.map(drop).ok_or(Error::TokenRevoked)
}
