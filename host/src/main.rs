//! The embedded host: runs a Spin HTTP application on wasmtime.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![expect(
    clippy::result_large_err,
    reason = "WIT determines the errors of the interfaces"
)]

mod allowed_hosts;
mod app;
mod bindings;
mod component;
mod engine;
mod http_client;
mod http_server;
mod instances;
mod limits;
mod logs;
mod manifest;
mod outbound_http;
mod postgres;
mod postgres_pool;
mod postgres_values;
mod redis;
mod redis_client;
mod request_headers;
mod resolver;
mod router;
mod runtime_config;
mod state;
mod tls;
mod up;
mod variables;

use clap::Parser;

/// Runs Spin HTTP applications on wasmtime.
#[derive(Parser)]
#[command(name = "host", version)]
enum Command {
    /// Start an application and serve it until SIGINT or SIGTERM
    Up(up::Up),
}

#[tokio::main]
async fn main() {
    let Command::Up(up) = Command::parse();
    let result = up.run().await;
    if let Err(error) = &result {
        logs::print_error(format_args!("Error: {error:#}"));
    }
    // Returning would wait for the tasks of requests that are still in flight.
    std::process::exit(i32::from(result.is_err()))
}
