//! Keeps this instance from asking a model that has just said it will not answer.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Zero point of the times below.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Milliseconds after [`START`] until which the model is left alone.
static OPEN_UNTIL: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Leaves the model alone for `pause`, or longer where that was decided before.
pub fn open(pause: Duration) {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    OPEN_UNTIL.fetch_max(now().saturating_add(pause), Relaxed);
}

/// Whether the model is to be left alone.
pub fn is_open() -> bool {
    now() < OPEN_UNTIL.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself() {
        assert!(!is_open());
        open(Duration::from_millis(40));
        open(Duration::from_millis(1));
        assert!(is_open());
        std::thread::sleep(Duration::from_millis(60));
        assert!(!is_open());
    }
}
