//! The settings of this component.

use std::sync::OnceLock;

use thought_diary::{
    Error,
    config::{Secret, once, variable},
    http::{FromRequest, Request},
    pg::Database,
    session::Keys,
};

use crate::{rate_limit::RateLimits, slots::Slots};

/// The settings, loaded once per instance.
#[derive(Debug)]
pub struct Config {
    /// `database_url`.
    pub database: Database,
    /// `jwt_secret_key`.
    pub keys: &'static Keys,
    /// `register_limit`, `login_limit` and `redis_url`.
    pub limits: RateLimits,
    /// `password_hash_slots` and `redis_url`.
    pub slots: Slots,
}

impl Config {
    async fn load() -> Result<Self, Error> {
        let database = Database::from_variables().await?;
        let keys = Keys::get().await?;
        let redis_url = Secret::new(variable("redis_url").await?);
        Ok(Self {
            limits: RateLimits::load(database.clone(), redis_url.clone(), keys).await?,
            slots: Slots::load(redis_url).await?,
            database,
            keys,
        })
    }
}

impl FromRequest for &'static Config {
    async fn from_request(_: &mut Request) -> Result<Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, Config::load()).await
    }
}
