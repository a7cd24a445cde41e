//! The SQL of `users` and `sessions`.

use thought_diary::{
    Error,
    pg::{Database, Row, Statement, Uuid},
    session::{REFRESH_TTL, SESSION_IS_ACTIVE, Session},
};

use crate::user::{Email, User};

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
        insert into users (email, password_hash) values ($email, $password_hash)
        on conflict (email) do nothing
        returning {USER_COLUMNS}"
    ))
    .bind("email", email.as_str())
    .bind("password_hash", password_hash);
    let row = database.row(statement).await?;
    decode_user(&row.ok_or(Error::UserExists)?)
}

/// Returns an account and its password hash.
pub async fn find_user(
    database: &Database,
    email: &Email,
) -> Result<Option<(User, String)>, Error> {
    let statement = Statement::new(format!(
        "-- auth::db::find_user()
        select password_hash, {USER_COLUMNS} from users where email = $email"
    ))
    .bind("email", email.as_str());
    database
        .row(statement)
        .await?
        .map(|row| Ok((decode_user(&row)?, row.get("password_hash")?)))
        .transpose()
}

/// Creates a session and deletes the user's expired ones.
///
/// `rehash` is the verified hash and its replacement, which is stored unless the
/// password has changed in the meantime.
///
/// # Errors
/// `invalid_credentials` when the account was deleted.
pub async fn create_session(
    database: &Database,
    user_id: i32,
    rehash: Option<(String, String)>,
) -> Result<Session, Error> {
    let (old_hash, new_hash) = rehash.unzip();
    let statement = Statement::new(
        "-- auth::db::create_session()
        with expired as (
            delete from sessions where user_id = $user_id and expires_at <= now()
        ), rehashed as (
            update users set password_hash = $new_hash
            where id = $user_id and password_hash = $old_hash
        )
        insert into sessions (user_id, expires_at)
        select id, now() + make_interval(secs => $ttl) from users where id = $user_id
        returning id::text as session_id",
    )
    .bind("user_id", user_id)
    .bind("ttl", REFRESH_TTL as f64)
    .bind("old_hash", old_hash)
    .bind("new_hash", new_hash);
    let row = database
        .row(statement)
        .await?
        .ok_or(Error::InvalidCredentials)?;
    let id = Uuid::parse(&row.get::<String>("session_id")?)
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

/// Ends a session, which revokes both of its tokens.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn end_session(database: &Database, session: &Session) -> Result<(), Error> {
    let statement = session.statement(format!(
        "-- auth::db::end_session()
        delete from sessions where id = $session_id and {SESSION_IS_ACTIVE}
        returning id"
    ));
    let row = database.row(statement).await?;
    row.map(drop).ok_or(Error::TokenRevoked)
}
