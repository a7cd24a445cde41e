//! `host up`: loads the application and serves it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::app::App;
use crate::http_server;
use crate::logs;
use crate::manifest::Manifest;
use crate::resolver::Resolver;
use crate::runtime_config::RuntimeConfig;

/// Options of `host up`, named as in `spin up`.
#[derive(clap::Args)]
pub struct Up {
    /// The manifest, or the folder with spin.toml
    #[arg(short = 'f', long = "from", default_value = "spin.toml")]
    from: PathBuf,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// File with limits on outbound connections
    #[arg(long)]
    runtime_config_file: Option<PathBuf>,
    /// Value of an application variable, or `@` and the file that holds it; repeatable
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
    /// Folder for the components' logs [default: .spin beside the manifest; none if empty]
    #[arg(long)]
    // Not a `PathBuf`, which clap does not let be empty.
    state_dir: Option<OsString>,
}

fn name_and_value(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Replaces a value that begins with `@` by the content of the file that it names.
fn read_value((name, value): (String, String)) -> Result<(String, String)> {
    let Some(file) = value.strip_prefix('@') else {
        return Ok((name, value));
    };
    let read = fs::read_to_string(file);
    let value = read.with_context(|| format!("cannot read {file}, the value of {name}"))?;
    Ok((name, value))
}

impl Up {
    /// Serves the application until SIGTERM, which lets requests in flight finish, or SIGINT, which
    /// does not.
    pub async fn run(self) -> Result<()> {
        start_tracing();
        raise_file_limit();
        // Other crates of the workspace may compile in another provider, so one has to be chosen.
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| anyhow!("a TLS provider is already installed"))?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listen = self.listen;
        let app = self.load()?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}: choose another with --listen"))?;
        print_routes(&app, listener.local_addr()?);
        let terminated = async { _ = terminate.recv().await };
        tokio::select! {
            () = http_server::serve(app, listener, terminated) => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }

    fn load(self) -> Result<Arc<App>> {
        let from = if self.from.is_dir() {
            self.from.join("spin.toml")
        } else {
            self.from
        };
        let manifest = Manifest::read(&from)?;
        let config = RuntimeConfig::read(self.runtime_config_file.as_deref())?;
        let given = self.variables.into_iter().map(read_value);
        let given: HashMap<_, _> = given.collect::<Result<_>>()?;
        let resolver = Resolver::new(&manifest.variables, &given, Path::new(".env"))?;
        let state_dir = match self.state_dir {
            Some(folder) => PathBuf::from(folder),
            None => from.with_file_name(".spin"),
        };
        let log_folder = (!state_dir.as_os_str().is_empty()).then(|| state_dir.join("logs"));
        if let Some(folder) = &log_folder {
            std::fs::create_dir_all(folder).with_context(|| {
                format!(
                    "cannot create the log folder {}: set --state-dir",
                    folder.display()
                )
            })?;
            logs::print_error(format_args!(
                "Logging component stdio to \"{}/\"",
                folder.display()
            ));
        }
        App::load(manifest, &config, &resolver, log_folder.as_deref())
    }
}

/// Raises the limit on open files, since each connection is one and the usual limit is 1,024.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot raise the limit on open files: {error}");
    }
}

/// Prints events of the host to stderr: errors, or what `RUST_LOG` asks for. Each client that hangs
/// up causes a warning.
fn start_tracing() {
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = filter
        .parse::<Targets>()
        .ok()
        .filter(|_| !filter.is_empty());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::ERROR));
    let events = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .log_internal_errors(false);
    tracing_subscriber::registry()
        .with(events)
        .with(filter)
        .init();
}

/// Prints the address and the routes as Spin does.
fn print_routes(app: &App, address: SocketAddr) {
    let mut text = format!("\nServing http://{address}\nAvailable Routes:\n");
    for (component, path) in app.router.describe() {
        _ = writeln!(text, "  {component}: http://{address}{path}");
    }
    _ = io::stdout().write_all(text.as_bytes());
}
