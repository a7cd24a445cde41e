//! Work after the response.

use std::time::Duration;

use spin_sdk::{time::sleep, wasip3::spawn};

/// Time for the host to take the response.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs `work` after the response of the current request was sent. The instance lives until it has ended.
///
/// Without the pause, the host calls of `work` would begin before the host has seen the body. It would then send the
/// headers in a packet of their own, and Nagle's algorithm with delayed ACK would cost 40 ms.
pub fn run_after_response(work: impl Future<Output = ()> + 'static) {
    spawn(async {
        sleep(PAUSE).await;
        work.await;
    });
}
