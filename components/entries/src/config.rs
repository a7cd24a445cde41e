//! The settings of this component.

use std::{sync::OnceLock, time::Duration};

use thought_diary::{
    Error,
    config::{Secret, milliseconds, once, variable},
    http::{FromRequest, Request},
    pg::Database,
    rate_limit::Limit,
    session::{Keys, bearer_token},
};

/// Time that the sentiment component gets in addition to the model's timeout.
const SENTIMENT_MARGIN: Duration = Duration::from_secs(2);

/// The settings, loaded once per instance.
#[derive(Debug)]
pub struct Config {
    /// `database_url`.
    pub database: Database,
    /// `jwt_secret_key`.
    pub keys: &'static Keys,
    /// `write_limit`. `None` disables it.
    pub write_limit: Option<Limit>,
    /// `sweep_token`, which operators present. `None` disables the sweep.
    pub sweep_token: Option<Secret>,
    /// `github_timeout_ms`: how long an analysis by the model may take. The sentiment component enforces it.
    pub model_timeout: Duration,
}

impl Config {
    async fn load() -> Result<Self, Error> {
        let sweep_token = variable("sweep_token").await?;
        Ok(Self {
            database: Database::from_variables().await?,
            keys: Keys::get().await?,
            write_limit: Limit::from_variable("write_limit").await?,
            sweep_token: (!sweep_token.is_empty()).then(|| Secret::new(sweep_token)),
            model_timeout: milliseconds("github_timeout_ms").await?,
        })
    }
}

impl Config {
    /// Returns the timeout of a call of the sentiment component.
    pub fn sentiment_timeout(&self) -> Duration {
        self.model_timeout + SENTIMENT_MARGIN
    }

    /// Returns the time for which the sweep skips an entry, because the request that stores it still calls the model.
    pub fn analysis_lease(&self, is_pending: bool) -> Duration {
        match is_pending {
            true => 2 * self.sentiment_timeout(),
            false => Duration::ZERO,
        }
    }
}

impl FromRequest for &'static Config {
    async fn from_request(_: &mut Request) -> Result<Self, Error> {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        once(&CONFIG, Config::load()).await
    }
}

/// Proof that the request carries `sweep_token` as its bearer token.
pub struct Operator(());

impl FromRequest for Operator {
    async fn from_request(request: &mut Request) -> Result<Self, Error> {
        let config = <&Config>::from_request(request).await?;
        let token = config.sweep_token.as_ref().ok_or(Error::NotFound)?;
        if token.matches(bearer_token(request.headers())?) {
            Ok(Self(()))
        } else {
            Err(Error::TokenInvalid)
        }
    }
}
