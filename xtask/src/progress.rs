//! Progress of long steps: a spinner on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where steps are shown. Clones show on the same lines.
#[derive(Clone, Default)]
pub struct Progress(MultiProgress);

impl Progress {
    /// Progress on standard error.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a step; `title` says what is done, as in "Building the components".
    #[must_use]
    pub fn step(&self, title: &str) -> Step {
        let bar = self.0.add(ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        let step = Step {
            bar,
            title: title.to_owned(),
            begun: Instant::now(),
        };
        step.bar.enable_steady_tick(Duration::from_millis(100));
        step
    }
}

/// One step; gone from the terminal when dropped.
pub struct Step {
    bar: ProgressBar,
    title: String,
    begun: Instant,
}

impl Step {
    /// What the step is busy with now.
    pub fn doing(&self, message: &str) {
        self.bar.set_message(message.trim().to_owned());
    }

    /// Says that this takes a while, where no spinner can be seen (a CI log, a file).
    pub fn announce(&self) {
        if self.bar.is_hidden() {
            eprintln!("{} ...", self.title);
        }
    }

    /// Ends the step. Only what took a second or more leaves a line.
    pub fn done(self) {
        let took = self.begun.elapsed();
        if took >= Duration::from_secs(1) {
            let line = format!("{}: done in {:.1} s", self.title, took.as_secs_f32());
            if self.bar.is_hidden() {
                eprintln!("{line}");
            } else {
                self.bar.println(line);
            }
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
