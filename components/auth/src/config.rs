//! The settings of this component.

use std::sync::OnceLock;

use thought_diary::{
    Error,
    config::{Secret, once, parsed, variable},
    http::{FromRequest, Request},
    pg::Database,
    session::Keys,
};

use crate::rate_limit::Limit;

/// The settings, loaded once per instance.
#[derive(Debug)]
pub struct Config {
    /// `database_url`.
    pub database: Database,
    /// `redis_url`.
    pub redis_url: Secret,
    /// `jwt_secret_key`.
    pub keys: &'static Keys,
    /// `register_limit`. `None` disables it.
    pub register_limit: Option<Limit>,
    /// `login_limit`. `None` disables it.
    pub login_limit: Option<Limit>,
}

impl Config {
    async fn load() -> Result<Self, Error> {
        Ok(Self {
            database: Database::from_variables().await?,
            redis_url: Secret::new(variable("redis_url").await?),
            keys: Keys::get().await?,
            register_limit: limit("register_limit").await?,
            login_limit: limit("login_limit").await?,
        })
    }
}

impl FromRequest for &'static Config {
    async fn from_request(_: &mut Request) -> Result<Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, Config::load()).await
    }
}

async fn limit(name: &'static str) -> Result<Option<Limit>, Error> {
    parsed(
        name,
        "a number of attempts and a duration, such as 5/15m, or off",
        |value| match value {
            "off" => Some(None),
            limit => Limit::parse(limit).map(Some),
        },
    )
    .await
}
