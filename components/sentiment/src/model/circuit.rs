//! The circuit breaker's policy. Its state is in Redis, shared by all instances, and `shared_state/*.lua` change it.
//!
//! Closed: the model is called. After failures on texts of [`FAILURES_TO_OPEN`] users without a success in between, or
//! when the server asks for a pause, the circuit opens and the lexicon answers. After the pause it is half-open: one
//! trial call goes to the model, and its outcome closes the circuit or opens it again for twice as long. The trial is
//! never about a text that has just timed out.
//!
//! The failures of one user's texts pause the calls for that user alone.

use std::time::Duration;

/// Users whose texts failed in a row that open the circuit. As many failures in a row of one user pause that user.
pub const FAILURES_TO_OPEN: u32 = 3;
/// Length of the first pause. Each failed trial, or further failure of a paused user, doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Upper limit of the doubled pauses. A server's `Retry-After` may ask for longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Calls that may be pending without a success in between. If the server hangs, further calls would hang too.
pub const MAX_PENDING_CALLS: u32 = 64;

/// Permission to call the model once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Permit {
    /// The circuit is closed.
    Normal,
    /// The circuit is half-open, and this call decides whether it closes.
    Trial,
}

/// Outcome of a call, as the circuit breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The server works, even if its reply was unusable.
    Success,
    /// The call failed. A call soon after may succeed.
    Failure,
    /// The server must not be called for this long.
    Pause(Duration),
}

/// Effect of an outcome on the circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transition {
    /// The circuit is closed.
    Closed,
    /// This outcome opened the circuit, for this long.
    Opened(Duration),
    /// The circuit is closed, but the model is not called for this user for this long.
    UserPaused(Duration),
    /// An earlier outcome opened the circuit, and it is still open.
    StillOpen,
}
