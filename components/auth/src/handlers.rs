//! The five routes, in the contract's order.

use http::StatusCode;
use serde::Serialize;
use thought_diary::{
    Error, Request, Response,
    http::json,
    session::{ACCESS_TTL, Kind, Session},
};

use crate::{
    config::Config,
    db,
    password::{self, Verdict},
    user::{Credentials, User},
};

#[derive(Serialize)]
struct Registered {
    message: &'static str,
    user: User,
}

/// The tokens a login gives, and the account it is for.
#[derive(Serialize)]
struct LoggedIn {
    message: &'static str,
    #[serde(flatten)]
    access: Access,
    refresh_token: String,
    user: User,
}

#[derive(Serialize)]
struct Access {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

#[derive(Serialize)]
struct LoggedOut {
    message: &'static str,
}

/// `POST /auth/register`
pub async fn register(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    if let Some(limit) = config.register_limit {
        limit.pass("register", request, &config.redis_url).await?;
    }
    let (email, new_password) = request.json::<Credentials>().await?.for_register()?;
    let hash = password::hash(new_password.expose())?;
    let user = db::create_user(&config.database, &email, hash).await?;
    Ok(json(
        StatusCode::CREATED,
        &Registered {
            message: "Account created.",
            user,
        },
    ))
}

/// `POST /auth/login`
pub async fn login(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    if let Some(limit) = config.login_limit {
        limit.pass("login", request, &config.redis_url).await?;
    }
    let (email, password) = request.json::<Credentials>().await?.for_login()?;
    let (user, hash) = db::find_user(&config.database, &email).await?.unzip();
    let verdict = password::verify(password.expose(), hash.as_deref())?;
    let (Some(user), Some(hash), Verdict::Right | Verdict::RightButOld) = (user, hash, &verdict)
    else {
        return Err(Error::InvalidCredentials);
    };
    let rehash = match verdict {
        Verdict::RightButOld => Some((hash, password::hash(password.expose())?)),
        _ => None,
    };
    let session = db::create_session(&config.database, user.id, rehash).await?;
    Ok(json(
        StatusCode::OK,
        &LoggedIn {
            message: "Logged in.",
            access: access(config, &session)?,
            refresh_token: config.keys.sign(&session, Kind::Refresh)?,
            user,
        },
    ))
}

/// `POST /auth/refresh`
pub async fn refresh(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Refresh)?;
    db::session_user(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &access(config, &session)?))
}

/// `POST /auth/logout`
pub async fn logout(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    db::end_session(&config.database, &session).await?;
    Ok(json(
        StatusCode::OK,
        &LoggedOut {
            message: "Logged out.",
        },
    ))
}

/// `GET /auth/me`
pub async fn me(request: &mut Request) -> Result<Response, Error> {
    let config = Config::get().await?;
    let session = config.keys.bearer(request, Kind::Access)?;
    let user = db::session_user(&config.database, &session).await?;
    Ok(json(StatusCode::OK, &user))
}

/// A new access token of a login.
fn access(config: &Config, session: &Session) -> Result<Access, Error> {
    Ok(Access {
        access_token: config.keys.sign(session, Kind::Access)?,
        token_type: "Bearer",
        expires_in: ACCESS_TTL,
    })
}
