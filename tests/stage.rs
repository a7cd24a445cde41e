//! The servers and the instances of the service that the tests play on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::AsyncCommands;
use tempfile::TempDir;
use testbed::runtime::{App, Kind, Options};
use testbed::settings::{database_host, redis_host};
use tokio::sync::{Mutex, OnceCell};

use crate::client::Service;
use crate::model::Model;
use crate::schema::Contract;

/// What all instances here sign with, so that tests can forge.
pub const JWT_KEY: &str = "a key for tests, longer than thirty-two bytes";

/// A token that the model stand-in is called with.
pub const MODEL_TOKEN: &str = "model-token-of-the-tests";

/// What a sweep is called with.
pub const SWEEP_TOKEN: &str = "sweep-token-of-the-tests";

/// What the model may take, in milliseconds.
const MODEL_TIMEOUT: &str = "1500";

/// What a line may take from where it is logged to where tests read it, on a busy machine.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// An instance of the service with what it stands on.
pub struct Instance {
    /// For calls.
    pub service: Service,
    /// The process.
    pub app: App,
    /// Of its database.
    pub database_url: String,
    /// Of its Redis.
    pub redis_url: String,
}

impl Instance {
    /// A connection to its database.
    pub async fn database(&self) -> tokio_postgres::Client {
        database(&self.database_url).await
    }

    /// A connection to its Redis.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).expect("a Redis URL");
        let connection = client.get_multiplexed_async_connection().await;
        connection.expect("Redis is there")
    }

    /// The log, as soon as one of its lines has all these parts: what is logged takes a moment to get here.
    pub async fn log_with(&self, parts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let log = self.app.log();
            if log
                .lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
            {
                return log;
            }
            assert!(
                start.elapsed() < LOGGED_WITHIN,
                "no line has {parts:?}: {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Has all instances on its Redis forget what they know about models, an open circuit included. What is kept of texts stays.
    pub async fn forget_models(&self) {
        let mut redis = self.redis().await;
        let keys: Vec<String> = redis.keys("{sentiment}:model:*").await.expect("keys");
        for key in keys {
            let _: () = redis.del(&key).await.expect("it is deleted");
        }
    }
}

/// A connection to a database.
pub async fn database(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("Postgres is there");
    tokio::spawn(connection);
    client
}

/// Servers of their own for tests that kill them.
pub struct Fragile {
    /// The instance that stands on them.
    pub instance: Instance,
    /// Its Postgres.
    pub postgres: testbed::postgres::Server,
    /// Its Redis.
    pub redis: testbed::redis::Server,
}

/// Everything that tests share.
pub struct Stage {
    folder: TempDir,
    kind: Kind,
    contract: Arc<Contract>,
    postgres: testbed::postgres::Server,
    redis: testbed::redis::Server,
    /// The stand-in that all instances ask.
    pub model: Model,
    /// Limits at their defaults, one trusted proxy: each caller chooses its address. Its model must not be made to misbehave.
    pub shared: Instance,
    second: OnceCell<Instance>,
    moody: OnceCell<Instance>,
    fragile: OnceCell<Mutex<Fragile>>,
}

impl Stage {
    /// Starts the servers and the shared instance.
    pub async fn start() -> Result<Self> {
        let kind = match std::env::var("E2E_RUNTIME") {
            Ok(kind) => kind.parse().context("E2E_RUNTIME")?,
            Err(_) => Kind::Embedded,
        };
        let folder = TempDir::new()?;
        let postgres_folder = folder.path().join("postgres");
        let postgres = testbed::postgres::Server::start_throw_away(&postgres_folder);
        let redis_folder = folder.path().join("redis");
        let redis = testbed::redis::Server::start(&redis_folder);
        let (postgres, redis, model) = tokio::try_join!(postgres, redis, Model::start())?;
        let database_url = postgres.create_database("shared").await?;
        testbed::migrate::up(&database_url).await?;
        let redis_url = redis.url(0);
        let variables = variables(&database_url, &redis_url, &model.host())?;
        let app = start_app(kind, folder.path(), variables, BTreeMap::new()).await?;
        let contract = Arc::new(Contract::new(document(app.url()).await?));
        let service = Service::at(app.url(), contract.clone());
        Ok(Self {
            folder,
            kind,
            contract,
            postgres,
            redis,
            model,
            shared: Instance {
                service,
                app,
                database_url,
                redis_url,
            },
            second: OnceCell::new(),
            moody: OnceCell::new(),
            fragile: OnceCell::new(),
        })
    }

    /// Another instance over the database and the Redis of the shared one. It trusts no proxy, and logs everything.
    pub async fn second(&self) -> &Instance {
        let start = async || {
            let Instance {
                database_url,
                redis_url,
                ..
            } = &self.shared;
            let changes = [
                ("trusted_proxy_hops", "0"),
                (
                    "cors_origins",
                    "https://app.example, https://other.example:8443",
                ),
                ("log_level", "debug"),
            ];
            self.instance(database_url, redis_url, &changes).await
        };
        self.second.get_or_init(start).await
    }

    /// An instance for models that misbehave, without a limit on registering and with a short one on logins. It logs everything.
    pub async fn moody(&self) -> &Instance {
        let start = async || {
            let changes = [
                ("register_limit", "off"),
                ("login_limit", "2/2s"),
                ("log_level", "debug"),
            ];
            self.new_instance(&changes).await
        };
        self.moody.get_or_init(start).await
    }

    /// The instance whose servers may be killed, for one test at a time.
    pub async fn fragile(&self) -> tokio::sync::MutexGuard<'_, Fragile> {
        let start = async || {
            Mutex::new(
                self.start_fragile()
                    .await
                    .expect("servers to be killed start"),
            )
        };
        self.fragile.get_or_init(start).await.lock().await
    }

    async fn start_fragile(&self) -> Result<Fragile> {
        let folder = self.folder.path().join("fragile");
        let postgres_folder = folder.join("postgres");
        let redis_folder = folder.join("redis");
        let postgres = testbed::postgres::Server::start(&postgres_folder);
        let redis = testbed::redis::Server::start(&redis_folder);
        let (postgres, redis) = tokio::try_join!(postgres, redis)?;
        let database_url = postgres.create_database("diary").await?;
        testbed::migrate::up(&database_url).await?;
        let changes = [("register_limit", "1000/1h"), ("login_limit", "1000/1h")];
        let instance = self.instance(&database_url, &redis.url(0), &changes).await;
        Ok(Fragile {
            instance,
            postgres,
            redis,
        })
    }

    /// A new instance over a migrated database of its own and a Redis database of its own, with these settings changed.
    pub async fn new_instance(&self, changes: &[(&str, &str)]) -> Instance {
        let database_url = self.empty_database().await;
        testbed::migrate::up(&database_url)
            .await
            .expect("an empty database migrates");
        self.instance(&database_url, &self.fresh_redis(), changes)
            .await
    }

    /// A new instance over these servers.
    pub async fn instance(
        &self,
        database_url: &str,
        redis_url: &str,
        changes: &[(&str, &str)],
    ) -> Instance {
        self.instance_in(database_url, redis_url, changes, &[])
            .await
    }

    /// A new instance over these servers, whose runtime has these environment variables.
    pub async fn instance_in(
        &self,
        database_url: &str,
        redis_url: &str,
        changes: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Instance {
        let variables = variables(database_url, redis_url, &self.model.host());
        let mut variables = variables.expect("the servers have URLs");
        for (name, value) in changes {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let app = start_app(self.kind, self.folder.path(), variables, environment)
            .await
            .expect("the service starts");
        let service = Service::at(app.url(), self.contract.clone());
        let (database_url, redis_url) = (database_url.to_owned(), redis_url.to_owned());
        Instance {
            service,
            app,
            database_url,
            redis_url,
        }
    }

    /// Whether the instances run on Spin, which can send traces.
    pub fn is_on_spin(&self) -> bool {
        self.kind == Kind::Spin
    }

    /// A new database without tables.
    pub async fn empty_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("own{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.postgres
            .create_database(&name)
            .await
            .expect("a database is made")
    }

    /// The URL of a Redis database that nobody else uses.
    pub fn fresh_redis(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.redis
            .url(number.try_into().expect("there are 256 of them"))
    }

    /// Where the shared Postgres and the shared Redis listen.
    pub fn server_addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.postgres.address(), self.redis.address())
    }

    /// The OpenAPI document that the service gave out.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Stops whatever was started.
    pub async fn stop(&self) {
        let instances = [Some(&self.shared), self.second.get(), self.moody.get()];
        for instance in instances.into_iter().flatten() {
            instance.app.stop().await;
        }
        if let Some(fragile) = self.fragile.get() {
            let fragile = fragile.lock().await;
            fragile.instance.app.stop().await;
            fragile.postgres.kill();
            fragile.redis.kill();
        }
        self.postgres.kill();
        self.redis.kill();
        if let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            eprintln!("{} is left behind: {error}", self.folder.path().display());
        }
    }
}

fn variables(
    database_url: &str,
    redis_url: &str,
    model_host: &str,
) -> Result<BTreeMap<String, String>> {
    let values = [
        ("database_url", database_url),
        ("redis_url", redis_url),
        ("database_host", &database_host(database_url)?),
        ("redis_host", &redis_host(redis_url)?),
        ("jwt_secret_key", JWT_KEY),
        ("github_models_host", model_host),
        ("github_token", MODEL_TOKEN),
        ("github_timeout_ms", MODEL_TIMEOUT),
        ("sweep_token", SWEEP_TOKEN),
        ("trusted_proxy_hops", "1"),
    ];
    Ok(values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into())
}

async fn start_app(
    kind: Kind,
    folder: &Path,
    variables: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
) -> Result<App> {
    let options = Options {
        manifest: testbed::workspace().join("spin.toml"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        variables,
        environment,
        state_dir: TempDir::new_in(folder)?.keep(),
        inherit_output: false,
    };
    App::start(kind, options).await
}

async fn document(url: &str) -> Result<serde_json::Value> {
    let response = reqwest::get(format!("{url}/openapi.json")).await?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}
