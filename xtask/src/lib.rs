//! What `cargo xtask`, the tests and the benchmark share: real servers, builds, migrations and the running service.

pub mod apt;
pub mod bench;
pub mod build;
mod client;
mod debian_wasm;
mod document;
pub mod eval;
pub mod local;
pub mod migrate;
pub mod postgres;
mod process;
pub mod progress;
pub mod redis;
pub mod runtime;
pub mod secret_file;
pub mod seed;
pub mod settings;
mod stage;
pub mod sweep;
pub mod test;
pub mod up;

use std::path::Path;

/// The root of the repository.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
