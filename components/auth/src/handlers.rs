//! The handlers of `/auth`, in the order of the API document.

use credentials::Email;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use thought_diary::{
    Error, Response,
    config::Secret,
    http::{Body, ClientAddress, Context},
    metrics::{LOGINS_REFUSED, count},
    response::{json, no_content},
    session::{ACCESS_TTL, RefreshSession, Session, TokenKind},
};

use crate::{
    config::Config,
    db::{self, Attempt},
    hashing,
    parameters::{SessionId, UserAgent},
    rate_limit,
    user::{Confirmation, Credentials, PasswordChange, User},
};

/// The response of a registration.
#[derive(Serialize)]
struct Registered {
    message: &'static str,
    user: User,
}

/// The response of a login.
#[derive(Serialize)]
struct LoggedIn {
    message: &'static str,
    #[serde(flatten)]
    access: AccessToken,
    refresh_token: String,
    user: User,
}

/// A new access token: the response of a refresh, and part of that of a login.
#[derive(Serialize)]
struct AccessToken {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

impl AccessToken {
    fn new(config: &Config, session: &Session) -> Result<Self, Error> {
        Ok(Self {
            access_token: config.keys.sign(session, TokenKind::Access)?,
            token_type: "Bearer",
            expires_in: ACCESS_TTL,
        })
    }
}

/// The response of an action that has no other result.
#[derive(Serialize)]
struct Message {
    message: &'static str,
}

/// The active sessions of a user.
#[derive(Serialize)]
struct Sessions {
    items: Box<RawValue>,
}

/// `POST /auth/register`
pub async fn register(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    body: Body,
) -> Result<Response, Error> {
    config.limits.check_register(client, &context).await?;
    let (email, new_password) = body.json::<Credentials>().await?.for_register()?;
    let hash = hashing::hash(&context, new_password.expose());
    let hash = config.slots.run(&context, hash).await?;
    let user = db::create_user(&config.database, &email, hash).await?;
    let message = "Account created.";
    Ok(json(StatusCode::CREATED, &Registered { message, user }))
}

/// `POST /auth/login`
pub async fn login(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    user_agent: UserAgent,
    body: Body,
) -> Result<Response, Error> {
    let result = log_in(context, config, client, user_agent, body).await;
    let reason = match &result {
        Err(Error::InvalidCredentials) => Some("invalid_credentials"),
        Err(Error::RateLimitExceeded(_)) => Some("rate_limit"),
        Err(Error::Unavailable(_)) => Some("unavailable"),
        _ => None,
    };
    if let Some(reason) = reason {
        count(&LOGINS_REFUSED, &[reason]);
    }
    result
}

/// Checks the limits and the body, waits for a slot, and logs in.
async fn log_in(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    UserAgent(user_agent): UserAgent,
    body: Body,
) -> Result<Response, Error> {
    config.limits.check_login(client, &context).await?;
    let (email, password) = body.json::<Credentials>().await?.for_login()?;
    let attempt = Attempt {
        account: config.keys.digest("login", email.as_str()),
        network: config.keys.digest("network", &rate_limit::network(client)),
    };
    let created = create_session(&context, config, &email, &password, &attempt, user_agent);
    let (user, session) = config.slots.run(&context, created).await?;
    context.set_user_id(user.id);
    Ok(json(
        StatusCode::OK,
        &LoggedIn {
            message: "Logged in.",
            access: AccessToken::new(config, &session)?,
            refresh_token: config.keys.sign(&session, TokenKind::Refresh)?,
            user,
        },
    ))
}

/// Verifies the credentials and creates a session.
///
/// A wrong password costs one verification and two statements, so that neither the answer
/// nor its time shows whether there is an account.
async fn create_session(
    context: &Context,
    config: &Config,
    email: &Email,
    password: &Secret,
    attempt: &Attempt,
    user_agent: Option<String>,
) -> Result<(User, Session), Error> {
    let mut is_first_try = true;
    loop {
        let found = db::find_user(&config.database, email, attempt).await?;
        let (user, hash) = found.account.unzip();
        // While the account is delayed, the password is verified as if there were none: a right password of an
        // argon2id hash skips bcrypt, and its response would come sooner.
        let stored = hash.as_deref().filter(|_| !found.is_delayed);
        let any_bcrypt_hash = found.any_bcrypt_hash.as_deref();
        let verification = hashing::verify(context, password, stored, any_bcrypt_hash).await?;
        let user_id = user.as_ref().map(|user| user.id);
        let (Some(user), Some(hash), true) = (user, hash, verification.is_valid) else {
            db::record_failed_login(&config.database, attempt, user_id).await?;
            return Err(Error::InvalidCredentials);
        };
        let is_outdated = verification.new_hash.is_some();
        let session = db::create_session(
            &config.database,
            user.id,
            attempt,
            user_agent.clone(),
            hash,
            verification.new_hash,
        );
        match session.await {
            // Another login of the user may have replaced the outdated hash. The second try reads the new one.
            Err(Error::InvalidCredentials) if is_outdated && is_first_try => is_first_try = false,
            session => return Ok((user, session?)),
        }
    }
}

/// `POST /auth/refresh`
pub async fn refresh(
    config: &'static Config,
    RefreshSession(session): RefreshSession,
) -> Result<Response, Error> {
    db::refresh_session(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &AccessToken::new(config, &session)?))
}

/// `POST /auth/logout`
pub async fn logout(config: &'static Config, session: Session) -> Result<Response, Error> {
    db::end_session(&config.database, &session).await?;
    let message = "Logged out.";
    Ok(json(StatusCode::OK, &Message { message }))
}

/// `POST /auth/logout-all`
pub async fn logout_all(config: &'static Config, session: Session) -> Result<Response, Error> {
    db::end_all_sessions(&config.database, &session).await?;
    let message = "Logged out everywhere.";
    Ok(json(StatusCode::OK, &Message { message }))
}

/// `GET /auth/sessions`
pub async fn sessions(config: &'static Config, session: Session) -> Result<Response, Error> {
    let items = db::sessions(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &Sessions { items }))
}

/// `DELETE /auth/sessions/{id}`
pub async fn end_session(
    config: &'static Config,
    session: Session,
    SessionId(target): SessionId,
) -> Result<Response, Error> {
    db::end_other_session(&config.database, &session, &target).await?;
    Ok(no_content())
}

/// `PUT /auth/password`
pub async fn change_password(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    session: Session,
    body: Body,
) -> Result<Response, Error> {
    config.limits.check_confirmation(client, &context).await?;
    let (current, new) = body.json::<PasswordChange>().await?.validate()?;
    let hashes = async {
        let (account, hash) = confirm(&context, config, &session, &current).await?;
        let new_hash = hashing::hash(&context, new.expose()).await?;
        Ok((account, hash, new_hash))
    };
    let (account, hash, new_hash) = config.slots.run(&context, hashes).await?;
    db::change_password(&config.database, &session, &account, hash, new_hash).await?;
    let message = "Password changed.";
    Ok(json(StatusCode::OK, &Message { message }))
}

/// `GET /auth/me`
pub async fn me(config: &'static Config, session: Session) -> Result<Response, Error> {
    let user = db::session_user(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &user))
}

/// `DELETE /auth/me`
pub async fn delete_account(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    session: Session,
    body: Body,
) -> Result<Response, Error> {
    config.limits.check_confirmation(client, &context).await?;
    let password = body.json::<Confirmation>().await?.validate()?;
    let confirmed = confirm(&context, config, &session, &password);
    let (account, hash) = config.slots.run(&context, confirmed).await?;
    db::delete_account(&config.database, &session, &account, hash).await?;
    Ok(no_content())
}

/// Verifies the password of a user who is logged in. Returns the digest under
/// which the user's wrong passwords are counted, and the verified hash.
///
/// They are counted apart from failed logins, so that guesses of others cannot block a change of the password.
async fn confirm(
    context: &Context,
    config: &Config,
    session: &Session,
    password: &Secret,
) -> Result<(String, String), Error> {
    let account = config
        .keys
        .digest("confirmation", &session.user_id.to_string());
    let hash = db::password_hash(&config.database, session).await?;
    let verification = hashing::verify(context, password, Some(&hash), None).await?;
    if !verification.is_valid {
        db::record_failed_confirmation(&config.database, &account).await?;
        return Err(Error::InvalidCredentials);
    }
    Ok((account, hash))
}
