//! Embedded host.
fn main() {}
