//! `cargo xtask bench`: how fast the service is, beside a bare component that makes the same host call.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::spawn_blocking;

use crate::process::Ending;
use crate::progress::Progress;
use crate::runtime::{App, Kind};

mod accounts;
mod load;
mod machine;
mod memory;
mod model;
mod report;
mod stage;

use crate::client::Call;
use accounts::{Account, LARGE, SMALL};
use load::{Figures, Generator, Load};
use report::{Bound, Goal, Report};
use stage::Stage;

/// Connections of the ordinary measurements.
const USUAL: u32 = 32;
/// Connections of the one that shows how the service bears a crowd.
const MANY: u32 = 1000;
/// Characters of an entry that is hardly taken, and of the longest.
const SHORTEST: usize = 12;
const LONGEST: usize = 5_000;
/// Each measurement is made twice, in turn with those it is compared with, so that what else
/// the machine does hits all of them; the better of the two counts.
const ROUNDS: u32 = 2;

/// Measure requests/s, latency and memory, beside a bare component on the same runtime
///
/// Starts a throw-away Postgres, Redis and model server, the service, and a
/// component that does nothing but one host call; the load comes from wrk. Takes
/// about three minutes and wants an otherwise idle machine.
///
/// Examples:
///   cargo xtask bench
///   cargo xtask bench --runtime spin --output docs/benchmark-spin.md
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What runs the components [default: spin where 4.1 or newer is on the PATH, else embedded]
    #[arg(long, value_enum)]
    runtime: Option<Kind>,
    /// How long each of the 32 rounds lasts (a login's, twice as long); all must be over before the access tokens are, after 15 minutes
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=20))]
    seconds: u64,
    /// The Markdown file to write
    #[arg(long, default_value = "docs/benchmark.md", value_name = "FILE")]
    output: PathBuf,
}

/// Measures, prints the tables and writes them. A goal that is missed is shown, and no error.
///
/// # Errors
/// When something does not build or start, or a request that is to be measured fails.
pub async fn run(arguments: &Args) -> Result<()> {
    let mut ending = Ending::new()?;
    let report = tokio::select! {
        report = measure(arguments) => report?,
        () = ending.wait() => bail!("stopped"),
    };
    crate::document::publish(&report.markdown(), &arguments.output)
}

async fn measure(arguments: &Args) -> Result<Report> {
    let kind = arguments.runtime.unwrap_or_else(Kind::detect);
    let progress = Progress::new();
    let generator = spawn_blocking(Generator::find_or_install).await??;
    crate::stage::build(kind, &progress).await?;
    let stage = Stage::start(kind, &progress).await?;
    let machine = machine::describe(kind, &stage, &generator).await?;
    let bench = Bench {
        generator,
        duration: Duration::from_secs(arguments.seconds),
        progress,
    };
    let mut report = Report::new(machine, arguments.seconds, ROUNDS);
    bench.health(&stage, &mut report).await?;
    bench.statements(&stage, &mut report).await?;
    bench.login(&stage, &mut report).await?;
    bench.crowd(&stage, &mut report).await?;
    bench.history(&stage, &mut report).await?;
    bench.word_list(kind, &stage, &mut report).await?;
    stage.stop().await;
    Ok(report)
}

/// What all measurements have in common.
struct Bench {
    generator: Generator,
    duration: Duration,
    progress: Progress,
}

impl Bench {
    /// The least that a request costs.
    async fn health(&self, stage: &Stage, report: &mut Report) -> Result<()> {
        let loads = [
            usual(&stage.app, vec![Call::get("/health")]),
            usual(&stage.probe, vec![Call::get("/health")]),
        ];
        let [ours, bare] = self.race("Measuring health", loads).await?;
        report.row("health", USUAL, &ours);
        report.row("bare component: health", USUAL, &bare);
        report.goal(rate_goal(
            "health, of a bare answer's rate",
            &ours,
            &bare,
            0.85,
        ));
        Ok(())
    }

    /// What costs one statement, beside a bare statement.
    async fn statements(&self, stage: &Stage, report: &mut Report) -> Result<()> {
        let (small, writers) = (&stage.accounts.small, &stage.accounts.writers);
        let creates = writers.iter().map(Account::create).collect();
        let known = writers.iter().map(Account::create_known).collect();
        let statement = Call::get(&format!("/pg?user_id={}", small.id));
        let loads = [
            usual(&stage.app, vec![small.list()]),
            usual(&stage.app, vec![small.stats()]),
            usual(&stage.app, creates),
            usual(&stage.app, known),
            usual(&stage.probe, vec![statement]),
        ];
        let [list, stats, create, known, bare] =
            self.race("Measuring list, stats and create", loads).await?;
        report.row(&format!("list, page of 10 of {SMALL}"), USUAL, &list);
        report.row(&format!("stats over {SMALL} entries"), USUAL, &stats);
        let name = format!("create, spread over {} users", writers.len());
        report.row(&format!("{name}, each text new"), USUAL, &create);
        report.row(&format!("{name}, a text known"), USUAL, &known);
        report.row("bare component: one statement", USUAL, &bare);
        for (name, ours, least) in [
            ("list", &list, 0.85),
            ("stats", &stats, 0.85),
            ("create of a new text", &create, 0.5),
            ("create of a known text", &known, 0.5),
        ] {
            let what = format!("{name}, of a bare statement's rate");
            report.goal(rate_goal(&what, ours, &bare, least));
        }
        Ok(())
    }

    /// Password hashing, beside nothing but the hash.
    async fn login(&self, stage: &Stage, report: &mut Report) -> Result<()> {
        let logins = stage.accounts.writers.iter().map(Account::login).collect();
        let loads = [
            usual(&stage.app, logins),
            usual(&stage.probe, vec![Call::get("/argon2")]),
        ];
        // All 32 are hashed in turns and end at about the same time, which takes its time.
        let [ours, bare] = self
            .race_for(self.duration * 2, "Measuring login", loads)
            .await?;
        report.row("login", USUAL, &ours);
        report.row("bare component: argon2id", USUAL, &bare);
        report.goal(rate_goal(
            "login, of bare argon2id's rate",
            &ours,
            &bare,
            0.9,
        ));
        Ok(())
    }

    /// Many connections at once, and whether all is well right afterwards.
    async fn crowd(&self, stage: &Stage, report: &mut Report) -> Result<()> {
        let list = || vec![stage.accounts.small.list()];
        let loads = [
            usual(&stage.app, list()),
            Load::new(&stage.app, MANY, list()),
        ];
        let [few, many] = self.race("Measuring many connections", loads).await?;
        let slowest = stage.slowest_answer().await?;
        report.row("list, once more", USUAL, &few);
        report.row("list", MANY, &many);
        let what = format!("list at {MANY} connections, of its own rate at {USUAL}");
        report.goal(rate_goal(&what, &many, &few, 0.8));
        report.goal(Goal {
            what: "seconds of the slowest of health, ready, list and stats right afterwards".into(),
            value: slowest.as_secs_f64(),
            bound: Bound::AtMost(1.0),
            errors: 0,
        });
        Ok(())
    }

    /// A long history must cost nothing. One connection, whose latency is the cost itself.
    async fn history(&self, stage: &Stage, report: &mut Report) -> Result<()> {
        let (small, large) = (&stage.accounts.small, &stage.accounts.large);
        let loads = [small.list(), large.list(), small.stats(), large.stats()]
            .map(|call| Load::new(&stage.app, 1, vec![call]));
        let measured = self.race("Measuring a long history", loads).await?;
        let [list_small, list_large, stats_small, stats_large] = &measured;
        for (name, short, long) in [
            ("list", list_small, list_large),
            ("stats", stats_small, stats_large),
        ] {
            report.row(&format!("{name}, {SMALL} entries"), 1, short);
            report.row(&format!("{name}, {LARGE} entries"), 1, long);
            report.goal(Goal {
                what: format!("{name} over {LARGE} entries, of its mean time over {SMALL}"),
                value: long.mean / short.mean,
                bound: Bound::AtMost(1.2),
                errors: long.errors + short.errors,
            });
        }
        Ok(())
    }

    /// What the longest entry costs more than the shortest where the word list reads it. Storing it is in that, too.
    async fn word_list(&self, kind: Kind, stage: &Stage, report: &mut Report) -> Result<()> {
        let app = stage.without_model(kind).await?;
        let user = &stage.accounts.small;
        let loads =
            [SHORTEST, LONGEST].map(|length| Load::new(&app, 1, vec![user.create_long(length)]));
        let measured = self.race("Measuring the word list", loads).await;
        app.stop().await;
        let [short, long] = measured?;
        for (length, figures) in [(SHORTEST, &short), (LONGEST, &long)] {
            let name = format!("create without a model, {length} characters");
            report.row(&name, 1, figures);
        }
        report.goal(Goal {
            what: format!(
                "milliseconds that {LONGEST} characters take longer than {SHORTEST}, read by the word list and stored"
            ),
            value: long.p50 - short.p50,
            bound: Bound::AtMost(2.0),
            errors: long.errors + short.errors,
        });
        Ok(())
    }

    /// Measures all loads in turn, several times; gives the best figures of each, in their order.
    async fn race<const N: usize>(
        &self,
        title: &str,
        loads: [Load<'_>; N],
    ) -> Result<[Figures; N]> {
        self.race_for(self.duration, title, loads).await
    }

    async fn race_for<const N: usize>(
        &self,
        duration: Duration,
        title: &str,
        loads: [Load<'_>; N],
    ) -> Result<[Figures; N]> {
        let step = self.progress.step(title);
        step.announce();
        let mut best: [Figures; N] = std::array::from_fn(|_| Figures::default());
        for round in 1..=ROUNDS {
            for (best, load) in best.iter_mut().zip(&loads) {
                step.doing(&format!("{load}, round {round} of {ROUNDS}"));
                let figures = self.one(load, duration).await?;
                *best = std::mem::take(best).better(figures);
            }
        }
        step.done();
        Ok(best)
    }

    async fn one(&self, load: &Load<'_>, duration: Duration) -> Result<Figures> {
        load.try_once().await?;
        let run = self.generator.run(load, duration);
        let (figures, memory) = memory::peak_while(load.app.pid(), run).await;
        Ok(Figures { memory, ..figures? })
    }
}

fn usual(app: &App, calls: Vec<Call>) -> Load<'_> {
    Load::new(app, USUAL, calls)
}

fn rate_goal(what: &str, ours: &Figures, other: &Figures, least: f64) -> Goal {
    Goal {
        what: what.to_owned(),
        value: ours.rate / other.rate,
        bound: Bound::AtLeast(least),
        errors: ours.errors + other.errors,
    }
}
