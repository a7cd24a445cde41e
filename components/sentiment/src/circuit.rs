//! When a model is asked and when it is left alone: the policy, and this
//! instance's own circuit for when Redis, which has the one of all instances, is away.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Failures in a row that open the circuit.
pub const FAILURES: u32 = 3;
/// How long it stays open at first; twice as long after each trial that fails.
pub const PAUSE: Duration = Duration::from_secs(10);
/// The longest that it opens for by itself.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// How the model may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Permit {
    /// As ever.
    Ask,
    /// As the only one: what comes of it decides whether the others may again.
    Trial,
}

/// What a call says about the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It works, whatever it answered.
    Answered,
    /// It does not; the next call may fare better.
    Failed,
    /// It is to be left alone this long.
    Paused(Duration),
}

/// What an outcome made of the circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// It is closed: the model may be asked.
    Closed,
    /// It has just opened, for this long.
    Opened(Duration),
    /// It was open already, and stays so.
    Open,
}

thread_local! {
    static OWN: Cell<Circuit> = const { Cell::new(Circuit::CLOSED) };
}

/// Whether the model may be asked, as far as this instance knows.
pub fn permit(call: Duration) -> Option<Permit> {
    let mut circuit = OWN.get();
    let permit = circuit.permit(Instant::now(), call);
    OWN.set(circuit);
    permit
}

/// Takes over that the circuit of all instances is closed, or open for now, in case Redis goes away.
pub fn follow(pause: Option<Duration>) {
    let mut circuit = Circuit::CLOSED;
    if let Some(pause) = pause {
        circuit.open(Instant::now(), pause);
    }
    OWN.set(circuit);
}

/// Notes what came of a call, for this instance.
pub fn note(permit: Permit, outcome: Outcome) -> News {
    let mut circuit = OWN.get();
    let news = circuit.note(Instant::now(), permit, outcome);
    OWN.set(circuit);
    news
}

/// `memory/*.lua` do the same for all instances.
#[derive(Clone, Copy, Debug)]
struct Circuit {
    /// In a row, while it is closed.
    failures: u32,
    /// The last that it decided itself.
    pause: Duration,
    /// `None` while it is closed.
    pause_ends: Option<Instant>,
    trial_ends: Option<Instant>,
}

impl Circuit {
    const CLOSED: Self = Self {
        failures: 0,
        pause: Duration::ZERO,
        pause_ends: None,
        trial_ends: None,
    };

    /// A trial that has not ended after `call` is taken for lost.
    fn permit(&mut self, now: Instant, call: Duration) -> Option<Permit> {
        let Some(pause_ends) = self.pause_ends else {
            return Some(Permit::Ask);
        };
        if now < pause_ends || self.trial_ends.is_some_and(|end| now < end) {
            return None;
        }
        self.trial_ends = Some(now + call);
        Some(Permit::Trial)
    }

    fn note(&mut self, now: Instant, permit: Permit, outcome: Outcome) -> News {
        if let (Some(end), Permit::Ask) = (self.pause_ends, permit) {
            // Asked before the circuit opened: that is decided, and only a longer pause still matters.
            if let Outcome::Paused(pause) = outcome {
                self.pause_ends = Some(end.max(now + pause));
            }
            return News::Open;
        }
        match outcome {
            Outcome::Answered => {
                *self = Self::CLOSED;
                News::Closed
            }
            Outcome::Paused(pause) => self.open(now, pause),
            Outcome::Failed if self.pause_ends.is_some() || self.failures + 1 >= FAILURES => {
                self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
                self.open(now, self.pause)
            }
            Outcome::Failed => {
                self.failures += 1;
                News::Closed
            }
        }
    }

    fn open(&mut self, now: Instant, pause: Duration) -> News {
        self.pause_ends = Some(now + pause);
        self.trial_ends = None;
        News::Opened(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Answered, Failed, Paused};

    const CALL: Duration = Duration::from_secs(5);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A circuit that three failures have just opened.
    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::CLOSED;
        for _ in 0..2 {
            assert_eq!(circuit.permit(now, CALL), Some(Permit::Ask));
            assert_eq!(circuit.note(now, Permit::Ask, Failed), News::Closed);
        }
        assert_eq!(
            circuit.note(now, Permit::Ask, Failed),
            News::Opened(seconds(10))
        );
        circuit
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let (now, mut circuit) = (Instant::now(), Circuit::CLOSED);
        for outcome in [Failed, Failed, Answered, Failed, Failed] {
            assert_eq!(circuit.note(now, Permit::Ask, outcome), News::Closed);
        }
        assert_eq!(circuit.permit(now, CALL), Some(Permit::Ask));
    }

    #[test]
    fn after_the_pause_one_trial_decides() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert_eq!(circuit.permit(now + seconds(9), CALL), None);
        let then = now + seconds(10);
        assert_eq!(circuit.permit(then, CALL), Some(Permit::Trial));
        assert_eq!(circuit.permit(then, CALL), None);
        assert_eq!(circuit.note(then, Permit::Trial, Answered), News::Closed);
        assert_eq!(circuit.permit(then, CALL), Some(Permit::Ask));
    }

    #[test]
    fn each_failed_trial_doubles_the_pause_up_to_two_minutes() {
        let mut now = Instant::now();
        let mut circuit = opened(now);
        for pause in [20, 40, 80, 120, 120] {
            now += LONGEST_PAUSE;
            assert_eq!(circuit.permit(now, CALL), Some(Permit::Trial));
            let news = circuit.note(now, Permit::Trial, Failed);
            assert_eq!(news, News::Opened(seconds(pause)));
        }
        now += LONGEST_PAUSE;
        assert_eq!(circuit.permit(now, CALL), Some(Permit::Trial));
        circuit.note(now, Permit::Trial, Answered);
        for _ in 0..2 {
            circuit.note(now, Permit::Ask, Failed);
        }
        let news = circuit.note(now, Permit::Ask, Failed);
        assert_eq!(news, News::Opened(PAUSE), "what was is forgotten");
    }

    #[test]
    fn a_lost_trial_is_followed_by_another() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let then = now + PAUSE;
        assert_eq!(circuit.permit(then, CALL), Some(Permit::Trial));
        assert_eq!(circuit.permit(then + CALL, CALL), Some(Permit::Trial));
    }

    #[test]
    fn a_pause_that_was_asked_for_lasts_that_long() {
        let (now, mut circuit) = (Instant::now(), Circuit::CLOSED);
        let news = circuit.note(now, Permit::Ask, Paused(seconds(3600)));
        assert_eq!(news, News::Opened(seconds(3600)));
        assert_eq!(circuit.permit(now + seconds(3599), CALL), None);
        let then = now + seconds(3600);
        assert_eq!(circuit.permit(then, CALL), Some(Permit::Trial));
        let news = circuit.note(then, Permit::Trial, Failed);
        assert_eq!(news, News::Opened(PAUSE));
    }

    #[test]
    fn an_instance_follows_all_of_them() {
        follow(Some(PAUSE));
        assert_eq!(permit(CALL), None);
        follow(None);
        assert_eq!(permit(CALL), Some(Permit::Ask));
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing_but_to_a_longer_pause() {
        let now = Instant::now();
        let mut circuit = opened(now);
        for outcome in [Answered, Failed, Paused(seconds(1))] {
            assert_eq!(circuit.note(now, Permit::Ask, outcome), News::Open);
        }
        assert_eq!(circuit.permit(now + seconds(9), CALL), None);
        circuit.note(now, Permit::Ask, Paused(seconds(60)));
        assert_eq!(circuit.permit(now + seconds(59), CALL), None);
        let then = now + seconds(60);
        assert_eq!(circuit.permit(then, CALL), Some(Permit::Trial));
    }
}
