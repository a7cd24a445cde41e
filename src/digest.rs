//! Keyed digests as text.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Finishes `mac` and returns its 32 bytes as 64 hexadecimal digits.
pub fn hex(mac: Hmac<Sha256>) -> String {
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
