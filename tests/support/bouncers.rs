//! PgBouncer between the instances and Postgres, where `cargo xtask test --pgbouncer` runs the tests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use testbed::database;
use testbed::postgres::{self, pgbouncer::PgBouncer};
use tokio::sync::Mutex;

/// One PgBouncer per Postgres, or none.
pub struct Bouncers {
    program: Option<PathBuf>,
    /// By the address of its Postgres.
    running: Mutex<BTreeMap<SocketAddr, PgBouncer>>,
}

impl Bouncers {
    /// Reads E2E_PGBOUNCER, the path of the program.
    pub fn from_environment() -> Self {
        Self {
            program: std::env::var_os("E2E_PGBOUNCER").map(PathBuf::from),
            running: Mutex::default(),
        }
    }

    /// Starts one in front of a Postgres whose instances shall use it.
    pub async fn start(&self, folder: &Path, postgres: &postgres::Server) -> Result<()> {
        let Some(program) = &self.program else {
            return Ok(());
        };
        // As deploy/postgres/role.sql does, because the service cannot send these through PgBouncer.
        let settings = "alter role current_user set statement_timeout = '2500ms';
            alter role current_user set jit = off";
        let database = database::connect(&postgres.url("postgres")).await?;
        database.batch_execute(settings).await?;
        let started = PgBouncer::start(program, folder, postgres).await?;
        self.running
            .lock()
            .await
            .insert(postgres.address(), started);
        Ok(())
    }

    /// Changes the settings of an instance so that it connects to the PgBouncer in front of its Postgres, unless its URL
    /// has start-up options: PgBouncer refuses those.
    pub async fn redirect(&self, variables: &mut BTreeMap<String, String>) {
        let running = self.running.lock().await;
        for (postgres, bouncer) in running.iter() {
            let (postgres, bouncer) = (postgres.to_string(), bouncer.address().to_string());
            let is_direct = variables["database_url"].contains("options=");
            if variables.get("database_host") == Some(&postgres) && !is_direct {
                for name in ["database_url", "database_host"] {
                    let value = variables[name].replace(&postgres, &bouncer);
                    variables.insert(name.to_owned(), value);
                }
                variables.insert("database_statement_timeout".into(), "off".into());
            }
        }
    }

    /// Kills all of them.
    pub async fn kill(&self) {
        for bouncer in self.running.lock().await.values() {
            bouncer.kill();
        }
    }
}
