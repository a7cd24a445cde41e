//! What the clients observe while a fault occurs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest time that a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The time after the end of a fault in which requests may fail.
pub const RECOVERY_LIMIT: Duration = Duration::from_secs(5);

/// Which failures a fault excuses.
#[derive(Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// None.
    Nothing,
    /// 503 for logins.
    UnavailableLogins,
    /// 503.
    Unavailable,
    /// 503, and requests that get no response.
    LostResponses,
}

/// The observations of all clients during one fault.
pub struct Observations {
    tolerance: Tolerance,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    acknowledged: usize,
    failures: BTreeMap<&'static str, usize>,
    longest_request: (Duration, String),
    last_failure: Option<Instant>,
    fault_end: Option<Instant>,
    violations: Vec<String>,
}

impl Observations {
    /// Returns observations of nothing.
    pub fn new(tolerance: Tolerance) -> Self {
        Self {
            tolerance,
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    /// Makes the clients finish.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns true if the clients should finish.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Records a write that was acknowledged.
    pub fn acknowledged(&self) {
        self.state().acknowledged += 1;
    }

    /// Records how long a request took.
    pub fn took(&self, request: &str, time: Duration) {
        let mut state = self.state();
        if time > state.longest_request.0 {
            state.longest_request = (time, request.to_owned());
        }
        if time > REQUEST_LIMIT {
            let violation = format!("{request} took {time:.1?}");
            state.violations.push(violation);
        }
    }

    /// Records a 503.
    pub fn unavailable(&self, request: &str) {
        self.failed("503");
        let is_tolerated = match self.tolerance {
            Tolerance::Nothing => false,
            Tolerance::UnavailableLogins => request == "POST /auth/login",
            Tolerance::Unavailable | Tolerance::LostResponses => true,
        };
        if !is_tolerated {
            self.violation(format!("{request} got 503"));
        }
    }

    /// Records a request without a response.
    pub fn no_response(&self, request: &str, cause: &dyn fmt::Debug) {
        self.failed("no response");
        if self.tolerance != Tolerance::LostResponses {
            self.violation(format!("{request} got no response: {cause:?}"));
        }
    }

    fn failed(&self, kind: &'static str) {
        let mut state = self.state();
        *state.failures.entry(kind).or_default() += 1;
        state.last_failure = Some(Instant::now());
    }

    /// Records something that must not happen.
    pub fn violation(&self, what: String) {
        self.state().violations.push(what);
    }

    /// Records that the fault has ended.
    pub fn fault_ended(&self) {
        self.state().fault_end = Some(Instant::now());
    }

    /// Returns the time for which no request has failed.
    pub fn time_without_failure(&self) -> Duration {
        let last_failure = self.state().last_failure;
        last_failure.map_or(Duration::MAX, |failure| failure.elapsed())
    }

    /// Returns the time from the end of the fault to the last failure; zero if nothing failed afterwards.
    pub fn recovery_time(&self) -> Duration {
        let state = self.state();
        let times = state.last_failure.zip(state.fault_end);
        times.map_or(Duration::ZERO, |(failure, end)| {
            failure.saturating_duration_since(end)
        })
    }

    /// Checks that clients could write, that they noticed a fault of Postgres, and that the service recovered in time.
    pub fn check(&self) {
        let recovery = self.recovery_time();
        if recovery > RECOVERY_LIMIT {
            self.violation(format!(
                "requests failed until {recovery:.1?} after the fault had ended"
            ));
        }
        if self.state().acknowledged == 0 {
            self.violation("no write was acknowledged".into());
        }
        let is_without_failure = self.state().failures.is_empty();
        if self.tolerance == Tolerance::Unavailable && is_without_failure {
            self.violation("no request failed, so the fault did not occur".into());
        }
    }

    /// Returns everything that happened and must not.
    pub fn into_violations(self) -> Vec<String> {
        std::mem::take(&mut self.state().violations)
    }
}

/// Shows the counts in one line.
impl fmt::Display for Observations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recovery = self.recovery_time();
        let state = self.state();
        let failures = state.failures.iter();
        let failures = failures.map(|(kind, count)| format!(", {count} × {kind}"));
        let (longest, request) = &state.longest_request;
        write!(
            formatter,
            "{} writes acknowledged{}, recovered after {:.1} s, longest request {:.1} s ({request})",
            state.acknowledged,
            failures.collect::<String>(),
            recovery.as_secs_f32(),
            longest.as_secs_f32(),
        )
    }
}
