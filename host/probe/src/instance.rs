//! The instance that serves a request: how often it was used, waiting, and work that stalls it.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use spin_sdk::http::Request;

use crate::{failure, number};

thread_local! {
    static NAME: u64 = RandomState::new().build_hasher().finish();
    static SERVED: Cell<u32> = const { Cell::new(0) };
    static AT_ONCE: Cell<u32> = const { Cell::new(0) };
    static MOST_AT_ONCE: Cell<u32> = const { Cell::new(0) };
}

/// Counts a request as long as it lives.
pub struct InFlight;

impl InFlight {
    /// Counts one more.
    pub fn start() -> Self {
        SERVED.set(SERVED.get() + 1);
        AT_ONCE.set(AT_ONCE.get() + 1);
        MOST_AT_ONCE.set(MOST_AT_ONCE.get().max(AT_ONCE.get()));
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        AT_ONCE.set(AT_ONCE.get() - 1);
    }
}

/// Which instance this is, how many requests it has had, and how many at once; after `ms`.
pub async fn counts(request: &Request) -> Value {
    let served = SERVED.get();
    spin_sdk::time::sleep(Duration::from_millis(number(request, "ms"))).await;
    json!({
        "instance": NAME.with(|name| format!("{name:x}")),
        "served": served,
        "most_at_once": MOST_AT_ONCE.get(),
    })
}

/// Answers after `ms`.
pub async fn sleep(request: &Request) -> Value {
    spin_sdk::time::sleep(Duration::from_millis(number(request, "ms"))).await;
    json!({})
}

/// Hashes a password as a login does: argon2id, m=19456 KiB, t=2, p=1.
pub fn argon2() -> Value {
    let mut hash = [0; 32];
    let hashed = Params::new(19456, 2, 1, Some(hash.len())).and_then(|parameters| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon2.hash_password_into(b"correct horse battery", b"a salt of 16 b..", &mut hash)
    });
    match hashed {
        Ok(()) => json!({ "first_byte": hash[0] }),
        Err(error) => failure(error),
    }
}
