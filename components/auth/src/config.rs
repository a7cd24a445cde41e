//! The settings of this component.

use std::sync::OnceLock;

use thought_diary::{
    Error,
    config::{Secret, once, parsed, variable},
    pg::Database,
    session::Keys,
};

use crate::rate_limit::Limit;

/// Read once per instance.
#[derive(Debug)]
pub struct Config {
    /// `database_url`.
    pub database: Database,
    /// `redis_url`.
    pub redis_url: Secret,
    /// `jwt_secret_key`.
    pub keys: Keys,
    /// `register_limit`; `None` when it is off.
    pub register_limit: Option<Limit>,
    /// `login_limit`; `None` when it is off.
    pub login_limit: Option<Limit>,
}

impl Config {
    /// The settings of this instance.
    ///
    /// # Errors
    /// `service_unavailable` when one makes no sense.
    pub async fn get() -> Result<&'static Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, Self::load()).await
    }

    async fn load() -> Result<Self, Error> {
        Ok(Self {
            database: Database::from_variable().await?,
            redis_url: Secret::new(variable("redis_url").await?),
            keys: Keys::from_variable().await?,
            register_limit: limit("register_limit").await?,
            login_limit: limit("login_limit").await?,
        })
    }
}

async fn limit(name: &'static str) -> Result<Option<Limit>, Error> {
    parsed(
        name,
        "a number of attempts and a time, such as 5/15m, or off",
        |value| match value {
            "off" => Some(None),
            limit => Limit::parse(limit).map(Some),
        },
    )
    .await
}
