//! What only exists where the tests start the service and its servers themselves.

use std::ops::Deref;
use std::panic::resume_unwind;

/// A value that a service at a given address does not have. A test that uses it there is skipped.
pub struct Own<T>(Result<T, &'static str>);

/// The payload of the panic that skips a test: what the test needs.
pub struct Skipped(pub &'static str);

/// Ends the test, which counts as ignored. Unlike `panic!`, prints nothing.
pub fn skip(needed: &'static str) -> ! {
    resume_unwind(Box::new(Skipped(needed)))
}

impl<T> Own<T> {
    /// Returns the absence of a value, which `what` describes.
    pub const fn missing(what: &'static str) -> Self {
        Self(Err(what))
    }

    /// Returns the value of an optional one.
    pub fn or_missing(value: Option<T>, what: &'static str) -> Self {
        Self(value.ok_or(what))
    }

    /// Returns the value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().ok()
    }
}

impl<T> From<T> for Own<T> {
    fn from(value: T) -> Self {
        Self(Ok(value))
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Ok(value) => value,
            Err(needed) => skip(needed),
        }
    }
}
