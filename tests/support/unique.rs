//! Values that no other test of this run uses.

use std::sync::atomic::{AtomicU32, Ordering};

/// Returns an IPv4 address, so that rate limits count its client alone.
pub fn unique_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, b, c, d] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// Returns an email address, lower-case.
pub fn unique_email() -> String {
    format!("{}@example.com", unique_word("user"))
}

/// Returns a word that occurs in no other text, so that a test can search for it in logs and requests.
pub fn unique_word(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let random = fastrand::u32(..);
    format!(
        "{prefix}{random:08x}x{}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
