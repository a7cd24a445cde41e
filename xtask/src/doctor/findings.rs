//! The results of the checks, one line each.

use std::fmt::Display;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Acceptable in some deployments.
    Warning,
    /// To be corrected.
    Failed,
    /// Not checked, because something needed was not given or not reachable.
    Skipped,
    /// For a person to check.
    ByHand,
}

/// A result and its explanation.
#[derive(Debug)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// The result.
    pub outcome: Outcome,
    /// What was found, and what to do.
    pub message: String,
}

/// All results, in the order of the checks.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: &str, outcome: Outcome, message: impl Display) {
        self.0.push(Finding {
            check: check.to_owned(),
            outcome,
            message: message.to_string(),
        });
    }

    /// Records that a check passed.
    pub fn passed(&mut self, check: &str, message: impl Display) {
        self.add(check, Outcome::Passed, message);
    }

    /// Records a warning, with what to do.
    pub fn warning(&mut self, check: &str, message: impl Display) {
        self.add(check, Outcome::Warning, message);
    }

    /// Records that a check failed, with what to do.
    pub fn failed(&mut self, check: &str, message: impl Display) {
        self.add(check, Outcome::Failed, message);
    }

    /// Records that a check was not possible, with the reason.
    pub fn skipped(&mut self, check: &str, message: impl Display) {
        self.add(check, Outcome::Skipped, message);
    }

    /// Records what a person has to check.
    pub fn by_hand(&mut self, check: &str, message: impl Display) {
        self.add(check, Outcome::ByHand, message);
    }

    /// Records a passed or a failed check.
    pub fn expect(
        &mut self,
        check: &str,
        is_passed: bool,
        passed: impl Display,
        failed: impl Display,
    ) {
        if is_passed {
            self.passed(check, passed);
        } else {
            self.failed(check, failed);
        }
    }

    /// Returns the number of failed checks.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.outcome == Outcome::Failed)
            .count()
    }

    /// Prints a line per check.
    pub fn print(&self) {
        for Finding {
            check,
            outcome,
            message,
        } in &self.0
        {
            let label = match outcome {
                Outcome::Passed => "ok",
                Outcome::Warning => "WARN",
                Outcome::Failed => "FAIL",
                Outcome::Skipped => "skip",
                Outcome::ByHand => "do",
            };
            println!("{label:<5} {check}: {message}");
        }
    }

    /// Returns the outcome and message of a check.
    #[cfg(test)]
    pub fn of(&self, check: &str) -> Vec<(Outcome, &str)> {
        let findings = self.0.iter().filter(|finding| finding.check == check);
        findings
            .map(|finding| (finding.outcome, finding.message.as_str()))
            .collect()
    }
}
