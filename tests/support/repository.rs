//! What the tests use of the repository besides the running service.

use std::path::PathBuf;

pub use testbed::{accounts, backup, migrate, retirement, seed};

/// Returns the path of a file or folder, which is relative to the root of the repository.
pub fn path(relative: &str) -> PathBuf {
    testbed::workspace().join(relative)
}

/// Returns the text of a file, whose path is relative to the root of the repository.
pub fn read_file(path: &str) -> String {
    let path = testbed::workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the size of a file in bytes.
pub fn file_size(path: &str) -> u64 {
    let path = testbed::workspace().join(path);
    let metadata = std::fs::metadata(&path);
    metadata
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .len()
}
