//! `cargo xtask bench`: measures the service beside a bare component that makes the same host call.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use testbed::api::{Call, User};
use testbed::load::{Generator, Load, Measurement};
use testbed::progress::Progress;
use testbed::runtime::{App, Kind};
use tokio::task::spawn_blocking;

use crate::shutdown::unless_stopped;
use crate::{build, document};

mod machine;
mod memory;
mod report;
mod rush;
mod sizes;
mod subjects;
mod users;

use report::{Bound, Goal, Report};
use subjects::Subjects;
use users::{LARGE, SMALL, Users};

/// Connections of most measurements.
const USUAL: u32 = 32;
/// Connections of the measurement that shows how the service behaves under many.
const MANY: u32 = 1000;
/// Characters of a very short and of the longest possible entry.
const SHORTEST: usize = 12;
const LONGEST: usize = 5_000;
/// Connections that read during a rush of logins: few, so that the logins find some of the cores free.
const READERS: u32 = 4;
/// Each measurement runs twice, in turn with those it is compared with, so that other work on the
/// machine affects all of them; the better of the two counts.
const ROUNDS: u32 = 2;

/// Measure requests/s, latency and memory, beside a bare component on the same runtime
///
/// Starts a temporary Postgres, Redis and model server, the service, and a
/// component that does nothing but one host call; the load comes from wrk. Takes
/// about four minutes and needs an otherwise idle machine.
///
/// Examples:
///   cargo xtask bench
///   cargo xtask bench --runtime spin --output docs/benchmark-spin.md
///   cargo xtask bench --users 100,1000,10000      what a number of users at once needs; writes docs/scaling.md
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The program that runs the components [default: spin where 4.1 or newer is on the PATH, otherwise embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
    /// Length of each of the 32 rounds (twice that for logins); all must be over before the access tokens expire, after 15 minutes
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=20))]
    seconds: u64,
    /// Measure instead what these numbers of users at once need, each with a kept connection and pauses, with and without a proxy
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=25_000))]
    users: Vec<u32>,
    /// Average pause of a user between two requests, in seconds
    #[arg(long, default_value_t = 15, requires = "users", value_parser = clap::value_parser!(u64).range(1..=60))]
    think: u64,
    /// The Markdown file to write [default: docs/benchmark.md, or with --users the table in docs/scaling.md]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Measures, prints the tables and writes them. A missed goal is shown, and is no error.
pub async fn run(arguments: &Args) -> Result<()> {
    let output = |usual: &str| arguments.output.clone().unwrap_or(usual.into());
    if arguments.users.is_empty() {
        let report = unless_stopped(measure(arguments)).await?;
        return document::publish(&report.markdown(), &output("docs/benchmark.md"));
    }
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let think = Duration::from_secs(arguments.think);
    let table = unless_stopped(sizes::measure(kind, &arguments.users, think)).await?;
    sizes::publish(&table, &output("docs/scaling.md"))
}

async fn measure(arguments: &Args) -> Result<Report> {
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let progress = Progress::new();
    let generator = spawn_blocking(Generator::find_or_install).await??;
    build::service(kind, &progress).await?;
    let subjects = Subjects::start(kind, &progress).await?;
    let machine = machine::describe(kind, &subjects.environment.database_url, &generator).await?;
    let mut bench = Bench {
        generator,
        duration: Duration::from_secs(arguments.seconds),
        progress,
        report: Report::new(machine, arguments.seconds, ROUNDS),
    };
    bench.health(&subjects).await?;
    bench.statements(&subjects).await?;
    bench.login(&subjects).await?;
    bench.many_connections(&subjects).await?;
    bench.long_history(&subjects).await?;
    bench.word_list(kind, &subjects).await?;
    bench.rush(kind, &subjects).await?;
    subjects.stop().await;
    Ok(bench.report)
}

/// What all measurements share.
struct Bench {
    generator: Generator,
    duration: Duration,
    progress: Progress,
    report: Report,
}

impl Bench {
    /// The minimum cost of a request.
    async fn health(&mut self, subjects: &Subjects) -> Result<()> {
        let call = || vec![Call::get("/health")];
        let loads = [
            load("health", &subjects.service, USUAL, call()),
            load("bare component: health", &subjects.probe, USUAL, call()),
        ];
        let [ours, bare] = self.compare("Measuring health", loads).await?;
        let what = "health, of a bare answer's rate";
        self.report.rate_goal(what, &ours, &bare, 0.85);
        Ok(())
    }

    /// Requests that cost one statement, beside a bare statement.
    async fn statements(&mut self, subjects: &Subjects) -> Result<()> {
        let Subjects {
            service,
            probe,
            users,
            ..
        } = subjects;
        let create = format!("create, spread over {} users", users.writers.len());
        let on_all = |call: fn(&User) -> Call| users.writers.iter().map(call).collect();
        let statement = Call::get(&format!("/pg?user_id={}", users.small.id));
        let loads = [
            load(
                format!("list, page of 10 of {SMALL}"),
                service,
                USUAL,
                vec![users::list(&users.small)],
            ),
            load(
                format!("stats over {SMALL} entries"),
                service,
                USUAL,
                vec![users::stats(&users.small)],
            ),
            load(
                format!("{create}, each text new"),
                service,
                USUAL,
                on_all(users::create_new),
            ),
            load(
                format!("{create}, a text known"),
                service,
                USUAL,
                on_all(users::create_cached),
            ),
            load(
                "bare component: one statement",
                probe,
                USUAL,
                vec![statement],
            ),
        ];
        let title = "Measuring list, stats and create";
        let [list, stats, create, cached, bare] = self.compare(title, loads).await?;
        for (name, ours, least) in [
            ("list", &list, 0.85),
            ("stats", &stats, 0.85),
            ("create of a new text", &create, 0.5),
            ("create of a known text", &cached, 0.5),
        ] {
            let what = format!("{name}, of a bare statement's rate");
            self.report.rate_goal(&what, ours, &bare, least);
        }
        Ok(())
    }

    /// Password hashing, beside nothing but the hash.
    async fn login(&mut self, subjects: &Subjects) -> Result<()> {
        let logins = subjects
            .users
            .writers
            .iter()
            .map(users::log_in_again)
            .collect();
        let hash = vec![Call::get("/argon2")];
        let loads = [
            load("login", &subjects.service, USUAL, logins),
            load("bare component: argon2id", &subjects.probe, USUAL, hash),
        ];
        // The 32 hashes of one instance end at about the same time, so a short round counts few of them.
        self.duration *= 2;
        let measured = self.compare("Measuring login", loads).await;
        self.duration /= 2;
        let [ours, bare] = measured?;
        let what = "login, of bare argon2id's rate";
        self.report.rate_goal(what, &ours, &bare, 0.9);
        Ok(())
    }

    /// Many connections at once, and how fast the service responds right afterwards.
    async fn many_connections(&mut self, subjects: &Subjects) -> Result<()> {
        let list = || vec![users::list(&subjects.users.small)];
        let loads = [
            load("list, once more", &subjects.service, USUAL, list()),
            load("list", &subjects.service, MANY, list()),
        ];
        let [few, many] = self.compare("Measuring many connections", loads).await?;
        let slowest = subjects.slowest_response().await?;
        let what = format!("list at {MANY} connections, of its own rate at {USUAL}");
        self.report.rate_goal(&what, &many, &few, 0.8);
        self.report.goal(Goal {
            what: "seconds of the slowest of health, ready, list and stats right afterwards".into(),
            value: slowest.as_secs_f64(),
            bound: Bound::AtMost(1.0),
            errors: 0,
        });
        Ok(())
    }

    /// The cost of a long history, which should be none. With one connection, latency is cost.
    async fn long_history(&mut self, subjects: &Subjects) -> Result<()> {
        let Users { small, large, .. } = &subjects.users;
        for (name, call) in [
            ("list", users::list as fn(&User) -> Call),
            ("stats", users::stats),
        ] {
            let loads = [(SMALL, small), (LARGE, large)].map(|(entries, user)| {
                let name = format!("{name}, {entries} entries");
                load(name, &subjects.service, 1, vec![call(user)])
            });
            let title = format!("Measuring {name} over a long history");
            let [short, long] = self.compare(&title, loads).await?;
            self.report.goal(Goal {
                what: format!("{name} over {LARGE} entries, of its mean time over {SMALL}"),
                value: long.mean / short.mean,
                bound: Bound::AtMost(1.2),
                errors: long.errors + short.errors,
            });
        }
        Ok(())
    }

    /// The time that the lexicon takes for the longest entry, with that to store it.
    async fn word_list(&mut self, kind: Kind, subjects: &Subjects) -> Result<()> {
        let service = subjects.start_again(kind, &[]).await?;
        let loads = [SHORTEST, LONGEST].map(|length| {
            let name = format!("create without a model, {length} characters");
            let call = users::create_of_length(&subjects.users.small, length);
            load(name, &service, 1, vec![call])
        });
        let measured = self.compare("Measuring the lexicon", loads).await;
        service.stop().await;
        let [short, long] = measured?;
        self.report.goal(Goal {
            what: format!(
                "milliseconds that {LONGEST} characters take longer than {SHORTEST}, read by the lexicon and stored"
            ),
            value: long.p50 - short.p50,
            bound: Bound::AtMost(2.0),
            errors: long.errors + short.errors,
        });
        Ok(())
    }

    /// Many logins at once, with the usual bound on hashes.
    async fn rush(&mut self, kind: Kind, subjects: &Subjects) -> Result<()> {
        let step = self.progress.step("Measuring many logins at once");
        step.announce();
        let slots = [("password_hash_slots", "1")];
        let service = subjects.start_again(kind, &slots).await?;
        let list = load(
            "",
            &service,
            READERS,
            vec![users::list(&subjects.users.small)],
        );
        let rush = rush::measure(&self.generator, &list, subjects, self.duration).await;
        service.stop().await;
        let rush = rush?;
        step.done();
        let name = format!("list, during {} logins", rush::LOGINS);
        self.report.row("list, once more", READERS, &rush.before);
        self.report.row(&name, READERS, &rush.during);
        for (what, value, bound) in [
            (
                "p99 of the list, of its own without the logins",
                rush.during.p99 / rush.before.p99,
                Bound::AtMost(3.0),
            ),
            (
                "MiB of the runtime",
                rush.during.memory as f64 / 1024.0,
                Bound::AtMost(512.0),
            ),
            (
                "part of the logins that succeeded",
                rush.succeeded as f64 / rush::LOGINS as f64,
                Bound::AtLeast(0.5),
            ),
        ] {
            self.report.goal(Goal {
                what: format!("during {} logins: {what}", rush::LOGINS),
                value,
                bound,
                errors: rush.during.errors,
            });
        }
        Ok(())
    }

    /// Runs all loads in turn, in several rounds, and adds the better measurement of each to the report.
    /// Returns them in the same order.
    async fn compare<const N: usize>(
        &mut self,
        title: &str,
        loads: [Load<'_>; N],
    ) -> Result<[Measurement; N]> {
        let step = self.progress.step(title);
        step.announce();
        let mut best: [Measurement; N] = std::array::from_fn(|_| Measurement::default());
        for round in 1..=ROUNDS {
            for (best, load) in best.iter_mut().zip(&loads) {
                let Load {
                    name, connections, ..
                } = load;
                step.message(&format!(
                    "{name} at {connections}, round {round} of {ROUNDS}"
                ));
                load.try_once().await?;
                let run = self.generator.run(load, self.duration);
                let (measured, memory) = memory::peak_while(load.app.pid(), run).await;
                let measured = Measurement {
                    memory,
                    ..measured?
                };
                *best = std::mem::take(best).better(measured);
            }
        }
        step.done();
        for (load, measurement) in loads.iter().zip(&best) {
            self.report.row(&load.name, load.connections, measurement);
        }
        Ok(best)
    }
}

fn load(name: impl Into<String>, app: &App, connections: u32, calls: Vec<Call>) -> Load<'_> {
    Load {
        name: name.into(),
        app,
        proxy: None,
        connections,
        calls,
        think: Duration::ZERO,
    }
}
