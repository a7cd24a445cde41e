//! The user and the text of an analysis, as Redis keys.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thought_diary::digest::hex;

use crate::config::ModelConfig;

/// The user and the text of an analysis. Both keys are derived from keyed digests and from the model's settings, so that
/// corrected settings take effect at once.
pub struct Subject {
    /// Redis key of the user's calls and failures.
    pub user: String,
    /// Redis key that exists if the text has just timed out.
    pub text: String,
}

impl Subject {
    /// Derives the keys from the digests of the user's id and of the text.
    pub fn new(config: &ModelConfig, user_digest: &str, text_digest: &str) -> Self {
        // The hash tag puts them into the same slot of a Redis cluster as the model's state.
        let key = |kind, digest| {
            format!(
                "{{sentiment}}:{kind}:{}",
                derived(digest, &config.state_key)
            )
        };
        Self {
            user: key("user", user_digest),
            text: key("slow", text_digest),
        }
    }
}

fn derived(digest: &str, state_key: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(digest.as_bytes());
    mac.map(|mac| hex(mac.chain_update(state_key)))
        .unwrap_or_default()
}
