//! Everything that is measured, running: the service, the bare component and their servers.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::accounts::{self, Accounts};
use super::model::Model;
use crate::client::Call;
use crate::progress::Progress;
use crate::runtime::{App, Kind, Options};
use crate::stage::Servers;

/// What runs, in the order in which it ends when dropped.
pub struct Stage {
    /// The service.
    pub app: App,
    /// The component that makes one host call for each request.
    pub probe: App,
    /// Who asks.
    pub accounts: Accounts,
    /// What both use.
    pub servers: Servers,
    _model: Model,
}

impl Stage {
    /// Starts all of it with data of its own. The components must have been built.
    ///
    /// # Errors
    /// When a part does not start or the data cannot be made.
    pub async fn start(kind: Kind, progress: &Progress) -> Result<Self> {
        let step = progress.step("Starting the servers, the service and the bare component");
        step.announce();
        let servers = Servers::start("bench").await?;
        let model = Model::start().await?;
        let probe = App::start(kind, probe(&servers, &model)?).await?;
        let app = App::start(kind, service(&servers, &model)?).await?;
        step.done();
        let step = progress.step("Making users and entries");
        step.announce();
        let accounts = accounts::make(app.url(), &servers.database).await?;
        step.done();
        Ok(Self {
            app,
            probe,
            accounts,
            servers,
            _model: model,
        })
    }

    /// The service once more, on the same data, with no model to ask.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn without_model(&self, kind: Kind) -> Result<App> {
        App::start(kind, self.servers.service(&[])?).await
    }

    /// How long the slowest of a few different requests takes, one after the other.
    ///
    /// # Errors
    /// When one fails.
    pub async fn slowest_answer(&self) -> Result<Duration> {
        let user = &self.accounts.small;
        let mut slowest = Duration::ZERO;
        for call in [
            Call::get("/health"),
            Call::get("/ready"),
            user.list(),
            user.stats(),
        ] {
            let begun = Instant::now();
            call.send(self.app.url()).await?;
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    }

    /// Stops all of it; the services first, so that they see no server vanish.
    pub async fn stop(self) {
        tokio::join!(self.app.stop(), self.probe.stop());
        self.servers.stop().await;
    }
}

fn service(servers: &Servers, model: &Model) -> Result<Options> {
    servers.service(&[
        ("github_models_host", &model.url()),
        ("github_token", "bench"),
    ])
}

fn probe(servers: &Servers, model: &Model) -> Result<Options> {
    let mut settings = servers.settings()?;
    // Not asked for here, but its manifest wants an address.
    settings.set("http_host", model.url());
    servers.options("host/probe/spin.toml", settings)
}
