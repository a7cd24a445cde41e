//! The instance that serves a request.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use spin_sdk::http::Request;

use crate::{failure, number};

thread_local! {
    static ID: u64 = RandomState::new().build_hasher().finish();
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
}

/// Counts a request of this instance.
pub fn count_request() {
    REQUESTS.set(REQUESTS.get() + 1);
}

/// Returns, after `ms`, an id of the instance and the position of this request among its requests.
pub async fn identity(request: &Request) -> Value {
    let requests = REQUESTS.get();
    spin_sdk::time::sleep(Duration::from_millis(number(request, "ms"))).await;
    json!({ "instance": ID.with(|id| format!("{id:x}")), "requests": requests })
}

/// Responds after `ms`.
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
