//! The embedded host: `host up` runs a Spin HTTP application on this machine, for local runs and tests.

#![expect(
    clippy::result_large_err,
    reason = "the errors of the interfaces are what WIT makes them"
)]

mod allowed_hosts;
mod app;
mod arriving;
mod bindings;
mod engine;
mod headers;
mod http_trigger;
mod instances;
mod limits;
mod logs;
mod manifest;
mod outbound_connect;
mod outbound_http;
mod postgres;
mod postgres_pool;
mod postgres_types;
mod redis;
mod routes;
mod runtime_config;
mod tls;
mod up;
mod variables;

use clap::Parser;

/// Runs Spin HTTP applications on wasmtime, with the same options as Spin.
#[derive(Parser)]
#[command(name = "host", version)]
enum Command {
    /// Start an application and serve it until SIGINT or SIGTERM
    Up(up::Up),
}

#[tokio::main]
async fn main() {
    let Command::Up(up) = Command::parse();
    let code = match up.run().await {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("Error: {error:#}");
            1
        }
    };
    // Leaving at once gives up the requests being answered without reporting each as failed.
    std::process::exit(code)
}
