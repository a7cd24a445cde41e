//! What the tests and the commands of `xtask` share: real servers, the service as a process, migrations, settings and load.

pub mod accounts;
pub mod api;
pub mod apt;
pub mod backup;
pub mod cargo;
pub mod database;
pub mod environment;
pub mod load;
pub mod migrate;
pub mod model;
pub mod postgres;
pub mod process;
pub mod progress;
pub mod redis;
pub mod retirement;
pub mod runtime;
pub mod secret_file;
pub mod seed;
pub mod server;
pub mod settings;
pub mod tcp_proxy;

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Returns the root of the repository, or the folder that `THOUGHT_DIARY_HOME` names: an installation
/// has `spin.toml` and `migrations/` there.
#[must_use]
pub fn workspace() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let compiled_in = || package.parent().unwrap_or(package).to_owned();
        std::env::var_os("THOUGHT_DIARY_HOME").map_or_else(compiled_in, PathBuf::from)
    });
    &ROOT
}

/// Locks a mutex even when a thread has panicked while holding it: nothing here is left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
