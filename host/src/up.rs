//! `host up`: reads the options, starts the application, and ends with a signal.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::app::{App, Options};
use crate::http_trigger;
use crate::manifest::Manifest;
use crate::runtime_config::RuntimeConfig;

/// The options of `host up`, a subset of those of `spin up`.
#[derive(clap::Args)]
pub struct Up {
    /// The application's manifest, or the folder that has its spin.toml
    #[arg(short = 'f', long = "from", default_value = "spin.toml")]
    from: PathBuf,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000", value_parser = listen_address)]
    listen: SocketAddr,
    /// Limits and other settings of the host
    #[arg(long, env = "RUNTIME_CONFIG_FILE")]
    runtime_config_file: Option<PathBuf>,
    /// Value of an application variable; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
    /// Folder for local state; by default `.spin` beside the manifest, none if empty
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Folder for the components' output; by default `logs` in the state folder, none if empty
    #[arg(short = 'L', long, env = "SPIN_LOG_DIR")]
    log_dir: Option<PathBuf>,
    /// Keep the components' output off the console
    #[arg(short, long)]
    quiet: bool,
}

/// Takes names too; of `localhost` the IPv4 address, as Spin does.
fn listen_address(text: &str) -> Result<SocketAddr> {
    let addresses: Vec<_> = text.to_socket_addrs()?.collect();
    let local = addresses
        .iter()
        .find(|address| address.ip() == Ipv4Addr::LOCALHOST);
    let address = local.or(addresses.first());
    address.copied().context("has no address")
}

fn name_and_value(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("must be NAME=VALUE")?;
    ensure!(!name.is_empty(), "must be NAME=VALUE");
    match value.strip_prefix('@') {
        None => Ok((name.to_owned(), value.to_owned())),
        Some(file) => match std::fs::read_to_string(file) {
            Ok(value) => Ok((name.to_owned(), value)),
            Err(error) => Err(anyhow!("cannot read {file} for variable {name}: {error}")),
        },
    }
}

impl Up {
    /// Runs until a signal comes. Requests that are being answered then are given up, as in Spin.
    pub async fn run(self) -> Result<()> {
        start_logging();
        raise_file_limit();
        // Both TLS back ends of rustls may be compiled in, so one has to be named.
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| anyhow!("TLS is set up twice"))?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listen = self.listen;
        let app = self.load()?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        app.own_address.get_or_init(|| address);
        tell_routes(&app, address);
        tokio::select! {
            () = http_trigger::serve(app, listener) => {}
            _ = terminate.recv() => {}
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
        let beside = from.parent().unwrap_or(Path::new("")).join(".spin");
        let state_dir = chosen(self.state_dir, config.state_dir.as_deref(), Some(beside));
        let logs = state_dir.map(|folder| folder.join("logs"));
        let options = Options {
            variables: self.variables.into_iter().collect::<HashMap<_, _>>(),
            log_dir: chosen(self.log_dir, config.log_dir.as_deref(), logs),
            to_console: !self.quiet,
        };
        if let Some(folder) = &options.log_dir {
            eprintln!("Logging component stdio to \"{}/\"", folder.display());
        }
        App::load(manifest, config, options)
    }
}

/// The command line wins over the file; an empty path means none.
fn chosen(
    given: Option<PathBuf>,
    file: Option<&Path>,
    default: Option<PathBuf>,
) -> Option<PathBuf> {
    match given.as_deref().or(file) {
        Some(path) if path.as_os_str().is_empty() => None,
        Some(path) => Some(path.to_owned()),
        None => default,
    }
}

/// Each connection is a file, and the usual limit is about a thousand.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit on open files stays as it is: {error}");
    }
}

/// Warnings stay out unless RUST_LOG asks for them, as in Spin: every client that hangs up is one.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("error")))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

fn tell_routes(app: &App, address: SocketAddr) {
    println!("\nServing http://{address}");
    println!("Available Routes:");
    for route in app.router.iter() {
        println!("  {}: http://{address}{}", route.component, route.shown());
    }
}
