//! `cargo xtask bench --users`: what the service needs for a number of users at once, with and without a proxy in front.
//!
//! Each user keeps a connection and pauses between requests, as people do.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::api::{Call, User};
use testbed::database;
use testbed::environment::Environment;
use testbed::load::{Generator, Load, Measurement};
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};
use tokio::task::spawn_blocking;

use super::{machine, users};
use crate::{build, document};

mod proxy;
mod usage;

use proxy::Proxy;
use usage::Usage;

/// Name of the table in the document.
const SECTION: &str = "sizes";
/// Accounts over which the users are spread. More would take minutes to log in, and cost the service nothing.
const ACCOUNTS: usize = 64;
/// Entries of each account at the beginning.
const ENTRIES: i32 = 300;

/// One line of the table.
struct Size {
    users: u32,
    proxy: Option<Usage>,
    measured: Measurement,
    service: Usage,
    postgres: Usage,
    connections: i64,
}

/// Measures every number of users, and returns the table.
pub async fn measure(kind: Kind, sizes: &[u32], think: Duration) -> Result<String> {
    // Twice the longest first pause, and a minute.
    let length = 4 * think + Duration::from_secs(60);
    let progress = Progress::new();
    let generator = spawn_blocking(Generator::find_or_install).await??;
    build::service(kind, &progress).await?;
    let mut text = String::new();
    for users in sizes {
        for with_proxy in [false, true] {
            let title = match with_proxy {
                false => format!("Measuring {users} users"),
                true => format!("Measuring {users} users behind a proxy"),
            };
            let step = progress.step(&title);
            step.announce();
            let environment = Environment::start().await?;
            if text.is_empty() {
                let machine =
                    machine::describe(kind, &environment.database_url, &generator).await?;
                text = head(&machine, think, length);
            }
            // A new service each time: it does not give memory back.
            let service = App::start(kind, environment.service(&[])?).await?;
            let setup = Setup {
                generator: &generator,
                environment: &environment,
                service: &service,
                think,
                length,
            };
            let size = setup.measure(*users, with_proxy).await;
            service.stop().await;
            environment.stop().await;
            text += &size?.line();
            step.done();
        }
    }
    Ok(text)
}

/// Writes the table into its section of a document.
pub fn publish(table: &str, output: &Path) -> Result<()> {
    let text = std::fs::read_to_string(output)
        .with_context(|| format!("cannot read {}", output.display()))?;
    document::publish(&document::with_section(&text, SECTION, table)?, output)
}

/// What the measurements of one service share.
struct Setup<'a> {
    generator: &'a Generator,
    environment: &'a Environment,
    service: &'a App,
    think: Duration,
    length: Duration,
}

impl Setup<'_> {
    async fn measure(&self, users: u32, with_proxy: bool) -> Result<Size> {
        let Self {
            generator,
            environment,
            service,
            think,
            length,
        } = *self;
        let accounts = accounts(service.url(), &environment.database_url).await?;
        let proxy = match with_proxy {
            true => Some(Proxy::start(service.url()).await?),
            false => None,
        };
        let load = Load {
            name: format!("{users} users"),
            app: service,
            proxy: proxy.as_ref().map(Proxy::url),
            connections: users,
            calls: accounts.iter().flat_map(day).collect(),
            think,
        };
        load.try_once().await?;
        let postgres = environment
            .postgres_pid()
            .context("Postgres does not run")?;
        let proxy_pid = proxy.as_ref().map(Proxy::pid);
        let pids = [Some(service.pid()), Some(postgres), proxy_pid];
        let run = generator.run(&load, length);
        let (measured, [service, postgres, proxy], connections) =
            usage::during(run, pids, &environment.database_url).await?;
        Ok(Size {
            users,
            proxy: proxy_pid.map(|_| proxy),
            measured: measured?,
            service,
            postgres,
            connections,
        })
    }
}

impl Size {
    fn line(&self) -> String {
        let Measurement {
            rate,
            p50,
            p99,
            errors,
            ..
        } = &self.measured;
        let usage = |Usage { cores, memory }: &Usage| format!("{cores:.2} | {}", memory / 1024);
        format!(
            "| {} | {} | {rate:.0} | {p50:.1} | {p99:.1} | {errors} | {} | {} | {:.2} | {} |\n",
            self.users,
            if self.proxy.is_some() { "nginx" } else { "-" },
            usage(&self.service),
            self.proxy.as_ref().map_or("- | -".to_owned(), usage),
            self.postgres.cores,
            self.connections,
        )
    }
}

fn head(machine: &str, think: Duration, length: Duration) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "Written by `cargo xtask bench --users`. {machine}\n\n\
        For {} s, each user keeps a connection, pauses for {} s on average (0 to twice that) between requests, and in five requests reads the\n\
        list three times, the statistics once, and writes an entry. Memory is the most that was held (proportional set size).\n\n\
        | users | proxy | requests/s | p50, ms | p99, ms | errors | cores of the service | MiB | cores of the proxy | MiB | cores of Postgres | connections to it |\n\
        |---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        length.as_secs(),
        think.as_secs()
    );
    text
}

/// Creates accounts with entries, and logs them in.
async fn accounts(url: &str, database_url: &str) -> Result<Vec<User>> {
    let first = User::register(url, &users::email("user-1"), users::PASSWORD).await?;
    let emails: Vec<String> = (2..=ACCOUNTS)
        .map(|number| users::email(&format!("user-{number}")))
        .collect();
    let database = database::connect(database_url).await?;
    users::add_accounts(&database, &first.email, &emails).await?;
    for email in emails.iter().chain([&first.email]) {
        users::add_entries(&database, email, ENTRIES).await?;
    }
    database.batch_execute("vacuum analyze").await?;
    let mut accounts = vec![first];
    for email in &emails {
        accounts.push(User::log_in(url, email, users::PASSWORD).await?);
    }
    ensure!(accounts.len() == ACCOUNTS, "an account is missing");
    Ok(accounts)
}

/// Returns the requests of a user, in their order.
fn day(user: &User) -> [Call; 5] {
    [
        users::list(user),
        users::stats(user),
        users::list(user),
        users::create_new(user),
        users::list(user),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_line_with_and_without_a_proxy() {
        let usage = |cores, memory: u64| Usage {
            cores,
            memory: memory * 1024,
        };
        let size = |proxy| Size {
            users: 1_000,
            proxy,
            measured: Measurement {
                rate: 66.6,
                p50: 2.04,
                p99: 30.0,
                mean: 3.0,
                errors: 0,
                memory: 0,
            },
            service: usage(0.123, 250),
            postgres: usage(0.05, 60),
            connections: 9,
        };
        assert_eq!(
            size(None).line(),
            "| 1000 | - | 67 | 2.0 | 30.0 | 0 | 0.12 | 250 | - | - | 0.05 | 9 |\n"
        );
        assert_eq!(
            size(Some(usage(0.02, 30))).line(),
            "| 1000 | nginx | 67 | 2.0 | 30.0 | 0 | 0.12 | 250 | 0.02 | 30 | 0.05 | 9 |\n"
        );
    }
}
