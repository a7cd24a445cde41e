//! The system under test: Postgres, Redis, a model's server, and two processes of the service, each behind a TCP proxy.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tempfile::TempDir;
use testbed::model::Model;
use testbed::runtime::{App, Kind, Options};
use testbed::settings::Settings;
use testbed::tcp_proxy::TcpProxy;
use testbed::{database, migrate, postgres, redis};
use tokio::sync::Mutex;

/// The token for `POST /internal/sweep`.
pub const SWEEP_TOKEN: &str = "sweep-token-of-the-faults";

/// All parts of the system.
pub struct System {
    kind: Kind,
    /// The database without a proxy.
    pub database_url: String,
    pub postgres: postgres::Server,
    pub postgres_proxy: TcpProxy,
    pub redis: redis::Server,
    pub redis_proxy: TcpProxy,
    model: Mutex<Option<Model>>,
    model_address: SocketAddr,
    pub model_proxy: TcpProxy,
    /// Two processes on the same databases.
    services: [Service; 2],
    folder: TempDir,
}

/// A process of the service.
struct Service {
    options: Options,
    app: Mutex<App>,
    proxy: TcpProxy,
}

impl System {
    /// Starts everything. The components must have been built.
    pub async fn start() -> Result<Self> {
        let kind = match std::env::var("E2E_RUNTIME") {
            Ok(kind) => kind.parse().context("E2E_RUNTIME")?,
            Err(_) => Kind::Embedded,
        };
        let folder = TempDir::new()?;
        let (postgres_folder, redis_folder) =
            (folder.path().join("postgres"), folder.path().join("redis"));
        // Not `start_throw_away`: an acknowledged write has to be on the disk.
        let postgres = postgres::Server::start(&postgres_folder);
        let (postgres, redis) = tokio::try_join!(postgres, redis::Server::start(&redis_folder))?;
        let model = Model::start().await?;
        let model_address = model.address();
        let database_url = postgres.create_database("diary").await?;
        migrate::up(&database_url).await?;

        let postgres_proxy = TcpProxy::start(postgres.address()).await;
        let redis_proxy = TcpProxy::start(redis.address()).await;
        let model_proxy = TcpProxy::start(model_address).await;
        let mut settings = Settings::default();
        settings.set("database_url", postgres_proxy.url(&database_url));
        settings.set("redis_url", redis_proxy.url(&redis.url(0)));
        settings.derive_hosts()?;
        let model_host = format!("http://{}", model_proxy.address());
        for (name, value) in [
            ("github_models_host", model_host.as_str()),
            ("github_token", "token"),
            ("github_timeout_ms", "1500"),
            (
                "jwt_secret_key",
                "a key for tests, longer than thirty-two bytes",
            ),
            ("sweep_token", SWEEP_TOKEN),
            // Limits that no client reaches, but that are counted.
            ("register_limit", "1000/1h"),
            ("login_limit", "100000/1h"),
            ("write_limit", "1000000/1m"),
            ("model_limit", "1000000/1d"),
        ] {
            settings.set(name, value);
        }
        let start = async || Service::start(kind, folder.path(), settings.clone()).await;
        Ok(Self {
            services: [start().await?, start().await?],
            kind,
            database_url,
            postgres,
            postgres_proxy,
            redis,
            redis_proxy,
            model: Mutex::new(Some(model)),
            model_address,
            model_proxy,
            folder,
        })
    }

    /// Returns the URLs of both processes.
    pub fn urls(&self) -> [String; 2] {
        let url = |service: &Service| format!("http://{}", service.proxy.address());
        self.services.each_ref().map(url)
    }

    /// Returns the proxy in front of the first process, the one that fails.
    pub fn service_proxy(&self) -> &TcpProxy {
        &self.services[0].proxy
    }

    /// Kills the first process of the service.
    pub async fn kill_service(&self) {
        self.services[0].app.lock().await.kill();
    }

    /// Starts the first process again, at the same address.
    pub async fn restart_service(&self) -> Result<()> {
        let Service { options, app, .. } = &self.services[0];
        let restarted = App::start(self.kind, options.clone()).await?;
        *app.lock().await = restarted;
        Ok(())
    }

    /// Kills the model's server.
    pub async fn kill_model(&self) {
        // Dropping closes all connections.
        self.model.lock().await.take();
    }

    /// Starts the model's server again, at the same address.
    pub async fn restart_model(&self) -> Result<()> {
        let restarted = Model::start_at(self.model_address).await?;
        self.model.lock().await.replace(restarted);
        Ok(())
    }

    /// Closes the circuit, which an earlier fault may have opened, so that the service calls the model again.
    pub async fn reset_circuit(&self) -> Result<()> {
        let client = ::redis::Client::open(self.redis.url(0))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        Ok(::redis::cmd("FLUSHDB").exec_async(&mut connection).await?)
    }

    /// Returns how many users have totals that differ from a recount of their entries.
    pub async fn wrong_totals(&self) -> Result<i64> {
        let statement = "-- faults::wrong_totals()
            with counted as (
                select user_id, count(*) as total,
                    count(*) filter (where positive_count > negative_count) as positive,
                    count(*) filter (where positive_count < negative_count) as negative
                from thought_diaries
                group by user_id
            )
            select count(*) from user_stats stats full join counted using (user_id)
            where (coalesce(total_entries, 0), coalesce(positive_entries, 0), coalesce(negative_entries, 0))
                <> (coalesce(total, 0), coalesce(positive, 0), coalesce(negative, 0))";
        let database = database::connect(&self.database_url).await?;
        Ok(database.query_one(statement, &[]).await?.get(0))
    }

    /// Stops everything.
    pub async fn stop(&self) {
        for service in &self.services {
            service.app.lock().await.stop().await;
        }
        self.postgres.kill();
        self.redis.kill();
        if let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            eprintln!("cannot remove {}: {error}", self.folder.path().display());
        }
    }
}

impl Service {
    async fn start(kind: Kind, folder: &std::path::Path, settings: Settings) -> Result<Self> {
        let mut options = Options {
            manifest: testbed::workspace().join("spin.toml"),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            variables: settings.into_variables(),
            environment: Default::default(),
            state_dir: TempDir::new_in(folder)?.keep(),
            inherit_output: false,
        };
        let app = App::start(kind, options.clone()).await?;
        let address = app.url().trim_start_matches("http://");
        options.listen = address.parse().context("the service has no address")?;
        Ok(Self {
            proxy: TcpProxy::start(options.listen).await,
            options,
            app: Mutex::new(app),
        })
    }
}
