//! Postgres connections, pooled for each component and address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::limits::Permit;
use crate::tls;

/// Connections in one pool. A task that finds none idle waits without a timeout, as in Spin.
const POOL_SIZE: usize = 64;

/// Where to connect, and the certificates to trust there beside the usual ones.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    address: String,
    root_certificates: Vec<CertificateDer<'static>>,
}

/// A connection, returned to its pool when the last clone of `client` is dropped.
pub struct Connection {
    /// The pooled client.
    pub client: Arc<Object>,
    _permit: Permit,
}

/// The pools of one component.
#[derive(Default)]
pub struct Pools(Mutex<HashMap<Target, Pool>>);

impl Target {
    /// Creates a target that trusts the usual certificates only.
    pub fn new(address: String) -> Self {
        Self {
            address,
            root_certificates: Vec::new(),
        }
    }

    /// Trusts the certificates in `pem` as well.
    pub fn trust(&mut self, pem: &str) -> Result<()> {
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        self.root_certificates = certificates.collect::<Result<_, _>>()?;
        ensure!(
            !self.root_certificates.is_empty(),
            "the text contains no certificate in PEM format"
        );
        Ok(())
    }

    /// Parses the address, which is a URL or a list of `key=value` pairs.
    pub fn config(&self) -> Result<Config, tokio_postgres::Error> {
        self.address.parse()
    }

    fn new_pool(&self) -> Result<Pool> {
        let config = self.config()?;
        let recycling = ManagerConfig {
            // Resets the session's settings but, unlike `DISCARD ALL`, leaves a transaction open.
            recycling_method: RecyclingMethod::Clean,
        };
        let manager = if config.get_ssl_mode() == SslMode::Disable {
            Manager::from_config(config, NoTls, recycling)
        } else {
            let tls = tls::client_config(&self.root_certificates);
            Manager::from_config(config, MakeRustlsConnect::new(tls), recycling)
        };
        let pool = Pool::builder(manager).max_size(POOL_SIZE).build();
        pool.context("cannot create a Postgres connection pool")
    }
}

impl Pools {
    /// Takes an idle connection from the pool of `target`, or opens one.
    pub async fn get(&self, target: &Target, permit: Permit) -> Result<Connection> {
        let pool = self.pool(target)?;
        Ok(Connection {
            client: Arc::new(pool.get().await?),
            _permit: permit,
        })
    }

    fn pool(&self, target: &Target) -> Result<Pool> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(target) {
            return Ok(pool.clone());
        }
        let pool = target.new_pool()?;
        pools.insert(target.clone(), pool.clone());
        Ok(pool)
    }
}
