//! Keyed digests as text.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The digest of what `mac` was given, as 64 hexadecimal digits.
pub fn hex(mac: Hmac<Sha256>) -> String {
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
