//! An empty library: a package cannot consist of a test target alone. The tests are in `main.rs`.
