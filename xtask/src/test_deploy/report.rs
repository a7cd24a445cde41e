//! Running programs, and counting the results of tests.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The numbers of tests by result.
#[derive(Default)]
pub struct Summary {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Summary {
    /// Runs a test, unless one of the programs that it needs is missing.
    pub fn run(&mut self, name: &str, programs: &[&str], test: impl FnOnce() -> Result<()>) {
        if self.has_programs(name, programs) {
            self.add(name, test());
        }
    }

    /// Returns whether all programs that a test needs are installed, and skips it otherwise.
    pub fn has_programs(&mut self, name: &str, programs: &[&str]) -> bool {
        let mut missing = programs.to_vec();
        missing.retain(|program| which::which(program).is_err());
        if !missing.is_empty() {
            self.skip(name, &format!("install {}", missing.join(", ")));
        }
        missing.is_empty()
    }

    /// Counts and prints a test that cannot run, and what to do.
    pub fn skip(&mut self, name: &str, advice: &str) {
        self.skipped += 1;
        println!("skip {name}: {advice}");
    }

    /// Counts and prints a result.
    pub fn add(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok   {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
}

/// Runs a program in the repository's root and returns its standard output.
///
/// # Errors
/// When it fails, with what it printed.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    output_of(Command::new(program).args(arguments))
}

/// As [`output`], for a prepared command.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .current_dir(testbed::workspace())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}):\n{stdout}{stderr}",
            command.get_program().display(),
            output.status
        );
    }
    Ok(stdout)
}
