//! The servers and the instances of the service that the tests share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use anyhow::{Context, Result};
use tempfile::TempDir;
use testbed::runtime::Kind;
use testbed::{migrate, postgres, redis};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::app::{fetch_document, owned, start_app, variables};
use super::bouncers::Bouncers;
use super::client::{Client, Service};
use super::instance::Instance;
use super::model_server::ModelServer;
use super::openapi::OpenApi;
use super::own::{Own, skip};
use super::private_values;

pub use super::app::{JWT_KEY, MODEL_TOKEN, SWEEP_TOKEN};

/// Settings by name.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// Rate limits that need Redis, but that no test reaches.
pub const HIGH_LIMITS: Settings<'_> = &[("register_limit", "1000/1h"), ("login_limit", "1000/1h")];

/// An instance whose servers a test may kill.
pub struct KillableServers {
    /// The instance.
    pub instance: Instance,
    /// Its Postgres.
    pub postgres: postgres::Server,
    /// Its Redis.
    pub redis: redis::Server,
}

/// The servers of the instances, and what starts these.
struct Servers {
    folder: TempDir,
    runtime: Kind,
    postgres: postgres::Server,
    bouncers: Bouncers,
    redis: redis::Server,
}

/// Everything that the tests share.
pub struct TestEnv {
    servers: Own<Servers>,
    openapi: Arc<OpenApi>,
    /// The model's server of all instances.
    pub model: Own<ModelServer>,
    /// The instance of most tests: default limits, and one trusted proxy so that each client chooses its address. Its model
    /// must not fail, or the circuit would open for all of them.
    pub shared: Instance,
    second: OnceCell<Instance>,
    misbehaving_model: OnceCell<Instance>,
    killable: OnceCell<Mutex<KillableServers>>,
}

impl TestEnv {
    /// Starts the servers and the shared instance, or uses the service at the address in `E2E_URL`.
    pub async fn start() -> Result<Self> {
        match std::env::var("E2E_URL") {
            Ok(url) => Self::at(&url).await,
            Err(_) => Self::start_servers().await,
        }
    }

    /// Returns an environment whose shared instance runs elsewhere, behind a proxy. It has no limits on logins, and the
    /// secrets that [`start_servers`](Self::start_servers) uses. Its servers are given where the tests may use them, and
    /// the address at which it looks for its model.
    async fn at(url: &str) -> Result<Self> {
        let openapi = Arc::new(OpenApi::new(fetch_document(url).await?));
        let variable = |name| std::env::var(name).ok();
        let servers = "servers of its own";
        let model = match variable("E2E_MODEL_ADDRESS") {
            Some(address) => {
                let address = address.parse().context("E2E_MODEL_ADDRESS")?;
                ModelServer::start_at(address).await.into()
            }
            None => Own::missing("a model of its own"),
        };
        Ok(Self {
            servers: Own::missing(servers),
            model,
            shared: Instance {
                service: Service::new(url, openapi.clone()),
                app: Own::missing("the process of the service"),
                database_url: Own::or_missing(variable("E2E_DATABASE_URL"), servers),
                redis_url: Own::or_missing(variable("E2E_REDIS_URL"), servers),
            },
            openapi,
            second: OnceCell::new(),
            misbehaving_model: OnceCell::new(),
            killable: OnceCell::new(),
        })
    }

    async fn start_servers() -> Result<Self> {
        let runtime = match std::env::var("E2E_RUNTIME") {
            Ok(runtime) => runtime.parse().context("E2E_RUNTIME")?,
            Err(_) => Kind::Embedded,
        };
        let folder = TempDir::new()?;
        let postgres_folder = folder.path().join("postgres");
        let postgres = postgres::Server::start_throw_away(&postgres_folder);
        let redis_folder = folder.path().join("redis");
        let redis = redis::Server::start(&redis_folder);
        let (postgres, redis) = tokio::try_join!(postgres, redis)?;
        let bouncers = Bouncers::from_environment();
        let bouncer_folder = folder.path().join("pgbouncer");
        bouncers.start(&bouncer_folder, &postgres).await?;
        let model = ModelServer::start().await;
        let database_url = postgres.create_database("shared").await?;
        migrate::up(&database_url).await?;
        let redis_url = redis.url(0);
        let mut variables = variables(&database_url, &redis_url, &model.host())?;
        bouncers.redirect(&mut variables).await;
        let app = start_app(
            runtime,
            folder.path().join("shared"),
            variables,
            BTreeMap::new(),
        )
        .await?;
        let openapi = Arc::new(OpenApi::new(fetch_document(app.url()).await?));
        let service = Service::new(app.url(), openapi.clone());
        let servers = Servers {
            folder,
            runtime,
            postgres,
            bouncers,
            redis,
        };
        Ok(Self {
            servers: servers.into(),
            openapi,
            model: model.into(),
            shared: Instance {
                service,
                app: app.into(),
                database_url: database_url.into(),
                redis_url: redis_url.into(),
            },
            second: OnceCell::new(),
            misbehaving_model: OnceCell::new(),
            killable: OnceCell::new(),
        })
    }

    /// Skips the test where a proxy is between the tests and the service: it replaces forwarded headers, refuses some
    /// requests itself, and has one address for all clients.
    pub fn without_proxy(&self) {
        if self.is_elsewhere() {
            skip("no proxy in front of the service");
        }
    }

    /// Returns true if the service runs elsewhere, at a given address.
    pub fn is_elsewhere(&self) -> bool {
        self.servers.get().is_none()
    }

    /// Returns an anonymous client of the shared instance.
    pub fn anonymous(&self) -> Client {
        self.shared.anonymous()
    }

    /// Registers a user with the shared instance and logs it in.
    pub async fn user(&self) -> Client {
        self.shared.user().await
    }

    /// Returns a second instance over the servers of the shared one. It trusts no proxy, allows other origins and logs everything.
    pub async fn second_instance(&self) -> &Instance {
        let settings = [
            ("trusted_proxy_hops", "0"),
            (
                "cors_origins",
                "https://app.example, https://other.example:8443",
            ),
            ("log_level", "debug"),
        ];
        let start = async || self.start_replica(&self.shared, &settings).await;
        self.second.get_or_init(start).await
    }

    /// Returns an instance for replies of the model that are invalid, but do not open the circuit. It has no limit on
    /// registrations and logs everything.
    pub async fn misbehaving_model(&self) -> &Instance {
        let settings = [("register_limit", "off"), ("log_level", "debug")];
        let start = async || self.start_instance(&settings).await;
        self.misbehaving_model.get_or_init(start).await
    }

    /// Returns the instance whose servers may be killed, to one test at a time.
    pub async fn with_killable_servers(&self) -> MutexGuard<'_, KillableServers> {
        let start = async || {
            let started = self.start_killable_servers().await;
            Mutex::new(started.expect("the killable servers start"))
        };
        self.killable.get_or_init(start).await.lock().await
    }

    async fn start_killable_servers(&self) -> Result<KillableServers> {
        let folder = self.servers.folder.path().join("killable");
        let postgres_folder = folder.join("postgres");
        let postgres = postgres::Server::start(&postgres_folder);
        let redis_folder = folder.join("redis");
        let redis = redis::Server::start(&redis_folder);
        let (postgres, redis) = tokio::try_join!(postgres, redis)?;
        let bouncer_folder = folder.join("pgbouncer");
        self.servers
            .bouncers
            .start(&bouncer_folder, &postgres)
            .await?;
        let database_url = postgres.create_database("diary").await?;
        migrate::up(&database_url).await?;
        let redis_url = redis.url(0);
        let instance = self.start_instance_on(&database_url, &redis_url, HIGH_LIMITS);
        Ok(KillableServers {
            instance: instance.await,
            postgres,
            redis,
        })
    }

    /// Starts an instance with these settings over new databases.
    pub async fn start_instance(&self, settings: Settings<'_>) -> Instance {
        let database_url = self.new_migrated_database().await;
        let redis_url = self.new_redis_database();
        self.start_instance_on(&database_url, &redis_url, settings)
            .await
    }

    /// Starts an instance with these settings over the databases of another.
    pub async fn start_replica(&self, of: &Instance, settings: Settings<'_>) -> Instance {
        self.start_instance_on(&of.database_url, &of.redis_url, settings)
            .await
    }

    /// Starts an instance with these settings over these databases.
    pub async fn start_instance_on(
        &self,
        database_url: &str,
        redis_url: &str,
        settings: Settings<'_>,
    ) -> Instance {
        self.start_instance_with(database_url, redis_url, settings, &[])
            .await
    }

    /// Starts an instance with these settings over these databases, in a runtime with these environment variables.
    pub async fn start_instance_with(
        &self,
        database_url: &str,
        redis_url: &str,
        settings: Settings<'_>,
        environment: &[(&str, &str)],
    ) -> Instance {
        let state_dir = self.new_folder();
        self.start_instance_in(state_dir, database_url, redis_url, settings, environment)
            .await
    }

    /// As [`start_instance_with`](Self::start_instance_with), with the runtime's state, logs for example, in a folder.
    pub async fn start_instance_in(
        &self,
        state_dir: PathBuf,
        database_url: &str,
        redis_url: &str,
        settings: Settings<'_>,
        environment: &[(&str, &str)],
    ) -> Instance {
        let variables = variables(database_url, redis_url, &self.model.host());
        let mut variables = variables.expect("the servers have URLs");
        self.servers.bouncers.redirect(&mut variables).await;
        variables.extend(owned(settings));
        let environment = owned(environment).collect();
        let app = start_app(self.servers.runtime, state_dir, variables, environment).await;
        let app = app.expect("the service starts");
        Instance {
            service: Service::new(app.url(), self.openapi.clone()),
            app: app.into(),
            database_url: database_url.to_owned().into(),
            redis_url: redis_url.to_owned().into(),
        }
    }

    /// Creates a folder that no other test uses.
    pub fn new_folder(&self) -> PathBuf {
        let folder = TempDir::new_in(self.servers.folder.path());
        folder.expect("a folder is created").keep()
    }

    /// Returns true if the instances run on Spin, which exports traces.
    pub fn runs_on_spin(&self) -> bool {
        self.servers.runtime == Kind::Spin
    }

    /// Starts a Redis that no other test uses.
    pub async fn start_redis(&self) -> redis::Server {
        let started = redis::Server::start(&self.new_folder()).await;
        started.expect("Redis starts")
    }

    /// Creates a database without tables and returns its URL.
    pub async fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("own{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let url = self.servers.postgres.create_database(&name).await;
        url.expect("Postgres creates a database")
    }

    /// Creates a database with all tables and returns its URL.
    pub async fn new_migrated_database(&self) -> String {
        let url = self.new_database().await;
        migrate::up(&url).await.expect("an empty database migrates");
        url
    }

    /// Returns the URL of an unused Redis database. The server has 256 of them.
    pub fn new_redis_database(&self) -> String {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert_ne!(number, 0, "all Redis databases are in use");
        self.servers.redis.url(number)
    }

    /// Returns the address of the shared Postgres.
    pub fn postgres_address(&self) -> SocketAddr {
        self.servers.postgres.address()
    }

    /// Returns the address of the shared Redis.
    pub fn redis_address(&self) -> SocketAddr {
        self.servers.redis.address()
    }

    /// Returns the OpenAPI document that the service serves.
    pub fn openapi(&self) -> &OpenApi {
        &self.openapi
    }

    /// Stops everything that was started.
    pub async fn stop(&self) {
        let Some(servers) = self.servers.get() else {
            return;
        };
        let instances = [
            Some(&self.shared),
            self.second.get(),
            self.misbehaving_model.get(),
        ];
        for instance in instances.into_iter().flatten() {
            instance.app.stop().await;
            private_values::keep_log(instance.app.log());
        }
        for secret in [JWT_KEY, MODEL_TOKEN, SWEEP_TOKEN] {
            private_values::add(secret);
        }
        if let Some(killable) = self.killable.get() {
            let killable = killable.lock().await;
            killable.instance.app.stop().await;
            private_values::keep_log(killable.instance.app.log());
            killable.postgres.kill();
            killable.redis.kill();
        }
        servers.bouncers.kill().await;
        servers.postgres.kill();
        servers.redis.kill();
        let folder = servers.folder.path();
        if let Err(error) = std::fs::remove_dir_all(folder) {
            eprintln!("cannot remove {}: {error}", folder.display());
        }
    }
}
