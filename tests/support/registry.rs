//! The list of tests, collected by the linker: a test is named where it is written and nowhere else.

use std::pin::Pin;

use super::env::TestEnv;

/// A test as `e2e_test!` registers it.
pub struct Test {
    /// Module path and function name, without the crate.
    name: &'static str,
    run: fn(&'static TestEnv) -> TestFuture,
}

/// A running test. It panics to fail.
pub type TestFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

inventory::collect!(Test);

impl Test {
    /// Describes a test. `path` begins with the name of this crate.
    pub const fn new(path: &'static str, run: fn(&'static TestEnv) -> TestFuture) -> Self {
        Self { name: path, run }
    }

    /// Returns the name by which `cargo xtask test <filter>` finds the test.
    pub fn name(&self) -> &'static str {
        self.name
            .split_once("::")
            .map_or(self.name, |(_, name)| name)
    }

    /// Runs the test.
    pub async fn run(&self, env: &'static TestEnv) {
        (self.run)(env).await;
    }
}

/// Returns all tests, those of `system` and `sentiment` first: the slow ones are among them, and one that
/// started last would run alone at the end.
pub fn tests() -> Vec<&'static Test> {
    let mut tests: Vec<&Test> = inventory::iter::<Test>().collect();
    tests.sort_by_key(|test| std::cmp::Reverse(test.name));
    tests
}

/// Registers an `async fn` that takes the environment as a test: `#[apply(e2e_test!)]`.
macro_rules! e2e_test {
    ($(#[$attribute:meta])* async fn $name:ident($env:tt: $type:ty) $body:block) => {
        $(#[$attribute])*
        async fn $name($env: $type) $body

        inventory::submit! {
            $crate::support::registry::Test::new(
                concat!(module_path!(), "::", stringify!($name)),
                |env| Box::pin($name(env)),
            )
        }
    };
}
pub(crate) use e2e_test;
