//! The handlers of `/auth`, in the order of the API document.

use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Error, Response,
    http::{Body, ClientAddress, Context},
    response::json,
    session::{ACCESS_TTL, RefreshSession, Session, TokenKind},
};

use crate::{
    config::Config,
    db,
    password::{self, Verdict},
    rate_limit,
    user::{Credentials, User},
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

/// The response of a logout.
#[derive(Serialize)]
struct LoggedOut {
    message: &'static str,
}

/// `POST /auth/register`
pub async fn register(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    body: Body,
) -> Result<Response, Error> {
    if let Some(limit) = config.register_limit {
        rate_limit::check(limit, "register", client, &context, &config.redis_url).await?;
    }
    let (email, new_password) = body.json::<Credentials>().await?.for_register()?;
    let hash = password::hash(new_password.expose())?;
    let user = db::create_user(&config.database, &email, hash).await?;
    let message = "Account created.";
    Ok(json(StatusCode::CREATED, &Registered { message, user }))
}

/// `POST /auth/login`
pub async fn login(
    context: Context,
    config: &'static Config,
    client: ClientAddress,
    body: Body,
) -> Result<Response, Error> {
    if let Some(limit) = config.login_limit {
        rate_limit::check(limit, "login", client, &context, &config.redis_url).await?;
    }
    let (email, password) = body.json::<Credentials>().await?.for_login()?;
    let (user, hash) = db::find_user(&config.database, &email).await?.unzip();
    let verdict = password::verify(password.expose(), hash.as_deref())?;
    let (Some(user), Some(hash)) = (user, hash) else {
        return Err(Error::InvalidCredentials);
    };
    let rehash = match verdict {
        Verdict::Invalid => return Err(Error::InvalidCredentials),
        Verdict::Valid => None,
        Verdict::ValidNeedsRehash => Some((hash, password::hash(password.expose())?)),
    };
    let session = db::create_session(&config.database, user.id, rehash).await?;
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

/// `POST /auth/refresh`
pub async fn refresh(
    config: &'static Config,
    RefreshSession(session): RefreshSession,
) -> Result<Response, Error> {
    db::session_user(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &AccessToken::new(config, &session)?))
}

/// `POST /auth/logout`
pub async fn logout(config: &'static Config, session: Session) -> Result<Response, Error> {
    db::end_session(&config.database, &session).await?;
    let message = "Logged out.";
    Ok(json(StatusCode::OK, &LoggedOut { message }))
}

/// `GET /auth/me`
pub async fn me(config: &'static Config, session: Session) -> Result<Response, Error> {
    let user = db::session_user(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &user))
}
