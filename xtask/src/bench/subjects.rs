//! Everything that is measured, running: the service, the bare component, and their servers.

use std::time::{Duration, Instant};

use anyhow::Result;
use testbed::api::Call;
use testbed::environment::Environment;
use testbed::model::Model;
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};

use super::users::{self, Users};

/// The running parts, in the order in which they stop when dropped.
pub struct Subjects {
    /// The service.
    pub service: App,
    /// The component that makes one host call per request.
    pub probe: App,
    /// The users of the service.
    pub users: Users,
    /// The servers of both.
    pub environment: Environment,
    _model: Model,
}

impl Subjects {
    /// Starts all of it with data of its own. The components must have been built.
    pub async fn start(kind: Kind, progress: &Progress) -> Result<Self> {
        let step = progress.step("Starting the servers, the service and the bare component");
        step.announce();
        let environment = Environment::start().await?;
        let model = Model::start().await?;
        // The probe does not call it here, but its manifest requires an address.
        let options =
            environment.options("host/probe/spin.toml", &[("http_host", &model.url())])?;
        let probe = App::start(kind, options).await?;
        let settings = [
            ("github_models_host", &*model.url()),
            ("github_token", "bench"),
        ];
        let service = App::start(kind, environment.service(&settings)?).await?;
        step.done();
        let step = progress.step("Creating users and entries");
        step.announce();
        let users = Users::create(service.url(), &environment.database_url).await?;
        step.done();
        Ok(Self {
            service,
            probe,
            users,
            environment,
            _model: model,
        })
    }

    /// Starts the service once more, on the same data, with these settings and without a model.
    pub async fn start_again(&self, kind: Kind, settings: &[(&str, &str)]) -> Result<App> {
        App::start(kind, self.environment.service(settings)?).await
    }

    /// Returns the longest time that one of a few different requests takes, sent one after the other.
    pub async fn slowest_response(&self) -> Result<Duration> {
        let user = &self.users.small;
        let mut slowest = Duration::ZERO;
        for call in [
            Call::get("/health"),
            Call::get("/ready"),
            users::list(user),
            users::stats(user),
        ] {
            let begun = Instant::now();
            call.send(self.service.url()).await?;
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    }

    /// Stops all of it; the services first, so that they log no lost connections.
    pub async fn stop(self) {
        tokio::join!(self.service.stop(), self.probe.stop());
        self.environment.stop().await;
    }
}
