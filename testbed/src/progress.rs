//! Progress of long steps: a spinner on a terminal, plain lines elsewhere.

use std::sync::Once;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Steps that are shown together, on standard error. Clones share the lines.
#[derive(Clone, Default)]
pub struct Progress(MultiProgress);

impl Progress {
    /// Returns progress without steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a step. `title` says what is done, as in "Building the components".
    #[must_use]
    pub fn step(&self, title: &str) -> Step {
        let bar = self.0.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Step {
            bar,
            title: title.to_owned(),
            begun: Instant::now(),
            announced: Once::new(),
        }
    }
}

/// A step that is under way; its line disappears when it is dropped.
pub struct Step {
    bar: ProgressBar,
    title: String,
    begun: Instant,
    announced: Once,
}

impl Step {
    /// Shows what the step is doing now.
    pub fn message(&self, message: &str) {
        self.bar.set_message(message.trim().to_owned());
    }

    /// Prints the title, once, where no spinner is visible (a CI log, a file), because the step takes a while.
    pub fn announce(&self) {
        if self.bar.is_hidden() {
            self.announced.call_once(|| eprintln!("{} ...", self.title));
        }
    }

    /// Ends the step; one that took a second or more leaves a line.
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
