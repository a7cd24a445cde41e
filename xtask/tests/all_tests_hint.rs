//! Prints how to run all tests. The name makes it the first of this package's integration tests.

fn main() {
    // `cargo xtask test` sets it.
    if std::env::var_os("TEST_DATABASE_URL").is_none() {
        println!(
            "\nThis runs only the checks that need no servers. To run all tests: `cargo xtask test`; it builds what they need and starts Postgres and Redis.\n"
        );
    }
}
