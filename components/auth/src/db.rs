//! The SQL of accounts, sessions and the limits of logins. What a user or an operator does to an account or a session
//! writes its row of `audit_log` in the same statement.

use credentials::Email;
use serde_json::value::RawValue;
use thought_diary::{
    Error,
    pg::{Database, Row, Statement, Uuid},
    session::{REFRESH_TTL, SESSION_IS_ACTIVE, Session},
};

use crate::user::User;

/// The columns of `users` that [`decode_user`] reads, with times as the API shows them.
const USER_COLUMNS: &str = r#"
    users.id, users.email,
    to_char(users.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
    to_char(users.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at"#;

fn decode_user(row: &Row) -> Result<User, Error> {
    Ok(User {
        id: row.get("id")?,
        email: row.get("email")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Creates an account.
///
/// # Errors
/// `user_exists` when the email has an account. The unique index decides between concurrent registrations.
pub async fn create_user(
    database: &Database,
    email: &Email,
    password_hash: String,
) -> Result<User, Error> {
    let statement = Statement::new(format!(
        "-- auth::db::create_user()
        with users as (
            insert into users (email, password_hash) values ($email, $password_hash)
            on conflict (email) do nothing
            returning *
        ), logged as (
            insert into audit_log (user_id, action) select id, 'account_created' from users
        )
        select {USER_COLUMNS} from users"
    ))
    .bind("email", email.as_str())
    .bind("password_hash", password_hash);
    let row = database.row(statement).await?;
    decode_user(&row.ok_or(Error::UserExists)?)
}

/// A login attempt. Its email need not have an account.
pub struct Attempt {
    /// Digest of the email, under which wrong passwords are counted.
    pub account: String,
    /// Digest of the client's network.
    pub network: String,
}

/// The result of [`find_user`].
pub struct Found {
    /// The account and its password hash.
    pub account: Option<(User, String)>,
    /// True while failed logins delay the account: a right password is rejected, too.
    pub is_delayed: bool,
    /// The bcrypt hash of some account, if there are any left.
    pub any_bcrypt_hash: Option<String>,
}

/// Returns the account of an email, and what the verification of its password depends on.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn find_user(
    database: &Database,
    email: &Email,
    attempt: &Attempt,
) -> Result<Found, Error> {
    let statement = Statement::new(format!(
        "-- auth::db::find_user()
        select
            {USER_COLUMNS},
            password_hash,
            users.id is not null as exists,
            login_is_delayed($account, users.id, $network) as is_delayed,
            any_bcrypt_hash() as any_bcrypt_hash
        from (select) one left join users on email = $email"
    ))
    .bind("email", email.as_str())
    .bind("account", attempt.account.as_str())
    .bind("network", attempt.network.as_str());
    let row = database.row(statement).await?;
    let row = row.ok_or_else(|| Error::Internal("find_user() returned no row".into()))?;
    let account = match row.get("exists")? {
        true => Some((decode_user(&row)?, row.get("password_hash")?)),
        false => None,
    };
    Ok(Found {
        account,
        is_delayed: row.get("is_delayed")?,
        any_bcrypt_hash: row.get("any_bcrypt_hash")?,
    })
}

/// Counts a wrong password.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn record_failed_login(
    database: &Database,
    attempt: &Attempt,
    user_id: Option<i32>,
) -> Result<(), Error> {
    let statement = Statement::new(
        "-- auth::db::record_failed_login()
        select failed_login_record($account, $user_id, $network)::text",
    )
    .bind("account", attempt.account.as_str())
    .bind("network", attempt.network.as_str())
    .bind("user_id", user_id);
    database.row(statement).await.map(drop)
}

/// Counts a wrong password with which a user tried to confirm a request.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn record_failed_confirmation(database: &Database, account: &str) -> Result<(), Error> {
    let statement = Statement::new(
        "-- auth::db::record_failed_confirmation()
        select failed_login_record($account, null, null)::text",
    )
    .bind("account", account);
    database.row(statement).await.map(drop)
}

/// Counts an attempt under each key, while Redis is unreachable. Returns the number of
/// attempts in each current window and the seconds left of it.
///
/// # Errors
/// Those of [`Database::row`].
pub async fn count_attempts(
    database: &Database,
    keys: Vec<String>,
    window_seconds: u64,
) -> Result<Vec<(u64, u64)>, Error> {
    let statement = Statement::new(
        "-- auth::db::count_attempts()
        select attempts_count($keys, $window_seconds) as counts",
    )
    .bind("keys", keys)
    .bind("window_seconds", window_seconds as f64);
    let invalid = || Error::Internal("attempts_count() returned an unexpected shape".into());
    let row = database.row(statement).await?.ok_or_else(invalid)?;
    serde_json::from_str(&row.get::<String>("counts")?).map_err(|_| invalid())
}

/// Creates a session for a verified password and deletes the user's expired sessions.
///
/// `new_hash` replaces the verified hash.
///
/// # Errors
/// `invalid_credentials` when the hash was changed in the meantime, or the account is delayed, disabled or deleted.
pub async fn create_session(
    database: &Database,
    user_id: i32,
    attempt: &Attempt,
    user_agent: Option<String>,
    verified_hash: String,
    new_hash: Option<String>,
) -> Result<Session, Error> {
    let statement = Statement::new(
        "-- auth::db::create_session()
        select session_create(
            owner => $user_id, account => $account, network => $network, user_agent => $user_agent,
            verified_hash => $verified_hash, new_hash => $new_hash, ttl_seconds => $ttl
        )::text as session_id",
    )
    .bind("user_id", user_id)
    .bind("account", attempt.account.as_str())
    .bind("network", attempt.network.as_str())
    .bind("user_agent", user_agent)
    .bind("verified_hash", verified_hash)
    .bind("new_hash", new_hash)
    .bind("ttl", REFRESH_TTL as f64);
    let row = database.row(statement).await?;
    let row = row.ok_or_else(|| Error::Internal("session_create() returned no row".into()))?;
    let id: Option<String> = row.get("session_id")?;
    let id = Uuid::parse(&id.ok_or(Error::InvalidCredentials)?)
        .ok_or_else(|| Error::Internal("sessions.id is not a UUID".into()))?;
    Ok(Session { id, user_id })
}

/// Returns the session's account.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn session_user(database: &Database, session: &Session) -> Result<User, Error> {
    let statement = session.statement(format!(
        "-- auth::db::session_user()
        select {USER_COLUMNS} from users where id = $user_id and {SESSION_IS_ACTIVE}"
    ));
    let row = database.row(statement).await?;
    decode_user(&row.ok_or(Error::TokenRevoked)?)
}

/// Returns the password hash of the session's user.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn password_hash(database: &Database, session: &Session) -> Result<String, Error> {
    let statement = session.statement(format!(
        "-- auth::db::password_hash()
        select password_hash from users where id = $user_id and {SESSION_IS_ACTIVE}"
    ));
    let row = database.row(statement).await?;
    row.ok_or(Error::TokenRevoked)?.get("password_hash")
}

/// Records that a session was refreshed.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn refresh_session(database: &Database, session: &Session) -> Result<(), Error> {
    let statement = session.statement(format!(
        "-- auth::db::refresh_session()
        update sessions set last_used_at = now() at time zone 'utc'
        where id = $session_id and {SESSION_IS_ACTIVE}
        returning id"
    ));
    let row = database.row(statement).await?;
    row.map(drop).ok_or(Error::TokenRevoked)
}

/// Returns the user's active sessions as a JSON array, the last used one first.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn sessions(database: &Database, session: &Session) -> Result<Box<RawValue>, Error> {
    let statement = session.statement(format!(
        r#"-- auth::db::sessions()
        select json_agg(json_build_object(
            'id', id,
            'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'last_used_at', to_char(last_used_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'user_agent', user_agent,
            'current', id = $session_id
        ) order by last_used_at desc, id)::text as items
        from sessions where user_id = $user_id and expires_at > now()
        having {SESSION_IS_ACTIVE}"#
    ));
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    RawValue::from_string(row.get("items")?)
        .map_err(|_| Error::Internal("sessions() did not return JSON".into()))
}

/// Ends a session, which revokes both of its tokens.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn end_session(database: &Database, session: &Session) -> Result<(), Error> {
    let statement = session.statement(format!(
        "-- auth::db::end_session()
        with ended as (
            delete from sessions where id = $session_id and {SESSION_IS_ACTIVE}
            returning id, user_id
        ), logged as (
            insert into audit_log (user_id, session_id, action)
            select user_id, id, 'logged_out' from ended
        )
        select id from ended"
    ));
    let row = database.row(statement).await?;
    row.map(drop).ok_or(Error::TokenRevoked)
}

/// Ends one of the user's sessions, which may be the request's own.
///
/// # Errors
/// `token_revoked` when the request's session is not active; `not_found` when the user has no such session.
pub async fn end_other_session(
    database: &Database,
    session: &Session,
    target: &Uuid,
) -> Result<(), Error> {
    let statement = session
        .statement(format!(
            "-- auth::db::end_other_session()
            with ended as (
                delete from sessions
                where id = $target and user_id = $user_id and expires_at > now() and {SESSION_IS_ACTIVE}
                returning id, user_id
            ), logged as (
                insert into audit_log (user_id, session_id, action)
                select user_id, id, 'session_ended' from ended
            )
            select exists (select from ended) as is_ended where {SESSION_IS_ACTIVE}"
        ))
        .bind("target", target);
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    match row.get("is_ended")? {
        true => Ok(()),
        false => Err(Error::NotFound),
    }
}

/// Ends all sessions of the user.
///
/// # Errors
/// `token_revoked` when the request's session is not active.
pub async fn end_all_sessions(database: &Database, session: &Session) -> Result<(), Error> {
    let statement = session.statement(format!(
        "-- auth::db::end_all_sessions()
        with ended as (
            delete from sessions where user_id = $user_id and {SESSION_IS_ACTIVE}
        )
        insert into audit_log (user_id, session_id, action)
        select $user_id, $session_id, 'all_sessions_ended' where {SESSION_IS_ACTIVE}
        returning id"
    ));
    let row = database.row(statement).await?;
    row.map(drop).ok_or(Error::TokenRevoked)
}

/// Replaces the password of the session's user and ends the user's other sessions.
///
/// # Errors
/// `token_revoked`; `invalid_credentials` when the hash was changed in the meantime, or the account is delayed.
pub async fn change_password(
    database: &Database,
    session: &Session,
    account: &str,
    verified_hash: String,
    new_hash: String,
) -> Result<(), Error> {
    let statement = session
        .statement(
            "-- auth::db::change_password()
            select password_change(
                session_id => $session_id, owner => $user_id, account => $account,
                verified_hash => $verified_hash, new_hash => $new_hash
            ) as outcome",
        )
        .bind("account", account)
        .bind("verified_hash", verified_hash)
        .bind("new_hash", new_hash);
    check_outcome(database.row(statement).await?)
}

/// Deletes the account of the session's user with all its data.
///
/// # Errors
/// As [`change_password`].
pub async fn delete_account(
    database: &Database,
    session: &Session,
    account: &str,
    verified_hash: String,
) -> Result<(), Error> {
    let statement = session
        .statement(
            "-- auth::db::delete_account()
            select account_delete(
                session_id => $session_id, owner => $user_id, account => $account,
                verified_hash => $verified_hash
            ) as outcome",
        )
        .bind("account", account)
        .bind("verified_hash", verified_hash);
    check_outcome(database.row(statement).await?)
}

fn check_outcome(row: Option<Row>) -> Result<(), Error> {
    let row = row.ok_or_else(|| Error::Internal("a statement returned no row".into()))?;
    match row.get::<String>("outcome")?.as_str() {
        "ok" => Ok(()),
        "revoked" => Err(Error::TokenRevoked),
        "wrong_password" => Err(Error::InvalidCredentials),
        _ => Err(Error::Internal(
            "a statement returned an unknown outcome".into(),
        )),
    }
}
