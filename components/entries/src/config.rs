//! The settings of this component.

use std::{sync::OnceLock, time::Duration};

use thought_diary::{
    Error,
    config::{Secret, milliseconds, once, variable},
    pg::Database,
    session::Keys,
};

/// Read once per instance.
#[derive(Debug)]
pub struct Config {
    /// `database_url`.
    pub database: Database,
    /// `jwt_secret_key`.
    pub keys: Keys,
    /// `sweep_token`, which a sweep has to show; `None` when there is to be no sweep.
    pub sweep_token: Option<Secret>,
    /// `github_timeout_ms`: how long the model may take. The sentiment component keeps to it by itself.
    pub model_timeout: Duration,
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
        let sweep_token = variable("sweep_token").await?;
        Ok(Self {
            database: Database::from_variable().await?,
            keys: Keys::from_variable().await?,
            sweep_token: (!sweep_token.is_empty()).then(|| Secret::new(sweep_token)),
            model_timeout: milliseconds("github_timeout_ms").await?,
        })
    }
}
