//! The measurements as a Markdown document.

use std::fmt::Write;

use testbed::load::Measurement;

/// A goal, and the measured value.
pub struct Goal {
    /// What is measured, with its unit unless it is a ratio.
    pub what: String,
    /// The measured value.
    pub value: f64,
    /// The goal.
    pub bound: Bound,
    /// Failed requests in the measurements. With one, the goal is missed.
    pub errors: u64,
}

/// The range of a value that reaches a goal.
#[derive(Clone, Copy)]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Goal {
    fn is_reached(&self) -> bool {
        let within = match self.bound {
            Bound::AtLeast(least) => self.value >= least,
            Bound::AtMost(most) => self.value <= most,
        };
        within && self.errors == 0
    }

    fn line(&self) -> String {
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("≥ {least:.2}"),
            Bound::AtMost(most) => format!("≤ {most:.2}"),
        };
        let reached = match (self.is_reached(), self.errors) {
            (true, _) => "yes".to_owned(),
            (false, 0) => "no".to_owned(),
            (false, errors) => format!("no: {errors} errors"),
        };
        format!(
            "| {} | {:.2} | {bound} | {reached} |",
            self.what, self.value
        )
    }
}

/// All measurements and goals.
pub struct Report {
    machine: String,
    seconds: u64,
    rounds: u32,
    rows: String,
    goals: String,
}

impl Report {
    /// Returns an empty report. `machine` describes the machine in sentences, `seconds` is the length of a round.
    pub fn new(machine: String, seconds: u64, rounds: u32) -> Self {
        Self {
            machine,
            seconds,
            rounds,
            rows: String::new(),
            goals: String::new(),
        }
    }

    /// Adds a measurement.
    pub fn row(&mut self, name: &str, connections: u32, measurement: &Measurement) {
        let Measurement {
            rate,
            p50,
            p99,
            errors,
            memory,
            ..
        } = measurement;
        // There are dozens of logins a second, and thousands of responses to /health.
        let decimals = usize::from(*rate < 100.0);
        let memory = memory / 1024;
        let _ = writeln!(
            self.rows,
            "| {name} | {connections} | {rate:.decimals$} | {p50:.1} | {p99:.1} | {memory} | {errors} |"
        );
    }

    /// Adds the goal that the rate is at least this part of another.
    pub fn rate_goal(&mut self, what: &str, ours: &Measurement, other: &Measurement, least: f64) {
        self.goal(Goal {
            what: what.to_owned(),
            value: ours.rate / other.rate,
            bound: Bound::AtLeast(least),
            errors: ours.errors + other.errors,
        });
    }

    /// Adds a goal.
    pub fn goal(&mut self, goal: Goal) {
        let _ = writeln!(self.goals, "{}", goal.line());
    }

    /// Returns the document.
    pub fn markdown(&self) -> String {
        format!(
            "# Benchmark\n\nWritten by `cargo xtask bench`. {}\n\n\
            Each line is the better of {} rounds of {} s (logins: twice that), made in turn with those it is compared with. The bare component\n\
            (`host/probe`) does nothing but the host call that is named, on the same runtime and the same database. Memory is\n\
            the most that the runtime's processes held resident; it is not given back between the lines.\n\n\
            ## Figures\n\n\
            | | connections | requests/s | p50, ms | p99, ms | memory, MiB | errors |\n\
            |---|---:|---:|---:|---:|---:|---:|\n{}\n\
            ## Goals\n\n| | measured | goal | reached |\n|---|---:|---:|---|\n{}",
            self.machine, self.rounds, self.seconds, self.rows, self.goals
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(value: f64, bound: Bound, errors: u64) -> Goal {
        Goal {
            what: "this".into(),
            value,
            bound,
            errors,
        }
    }

    #[test]
    fn a_goal_is_reached_at_its_bound_without_errors() {
        assert!(goal(0.85, Bound::AtLeast(0.85), 0).is_reached());
        assert!(!goal(0.84, Bound::AtLeast(0.85), 0).is_reached());
        assert!(goal(1.2, Bound::AtMost(1.2), 0).is_reached());
        assert!(!goal(1.21, Bound::AtMost(1.2), 0).is_reached());
        assert!(!goal(1.0, Bound::AtLeast(0.85), 1).is_reached());
        assert!(!goal(f64::NAN, Bound::AtMost(1.2), 0).is_reached());
    }

    #[test]
    fn shows_measurements_and_goals() {
        let measurement = Measurement {
            rate: 2345.6,
            p50: 12.34,
            p99: 56.78,
            mean: 13.0,
            errors: 2,
            memory: 280 * 1024,
        };
        let mut report = Report::new("On a machine.".into(), 6, 2);
        report.row("list", 32, &measurement);
        let slow = Measurement {
            rate: 45.67,
            ..measurement
        };
        report.row("login", 32, &slow);
        report.goal(goal(0.956, Bound::AtLeast(0.9), 0));
        report.goal(goal(1.5, Bound::AtMost(1.2), 0));
        report.goal(goal(0.9, Bound::AtLeast(0.8), 3));
        let text = report.markdown();
        for line in [
            "Written by `cargo xtask bench`. On a machine.",
            "| list | 32 | 2346 | 12.3 | 56.8 | 280 | 2 |",
            "| login | 32 | 45.7 | 12.3 | 56.8 | 280 | 2 |",
            "| this | 0.96 | ≥ 0.90 | yes |",
            "| this | 1.50 | ≤ 1.20 | no |",
            "| this | 0.90 | ≥ 0.80 | no: 3 errors |",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
