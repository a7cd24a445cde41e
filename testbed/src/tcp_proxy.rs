//! A TCP proxy between the service and a server, which can fail as a network does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use url::Url;

/// Between attempts to listen again: a connection from this machine can hold the port for a moment.
const LISTEN_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A running proxy. It accepts no connection after it is dropped.
pub struct TcpProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    cut: Arc<Notify>,
}

/// What the proxy does with connections.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Forwarding,
    Stalled,
    Refusing,
}

impl TcpProxy {
    /// Starts a proxy to `server` on a free port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let (state, receiver) = watch::channel(State::Forwarding);
        let cut = Arc::<Notify>::default();
        tokio::spawn(run(listener, address, server, receiver, Arc::clone(&cut)));
        Self {
            address,
            state,
            cut,
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `url` with the port of this proxy.
    ///
    /// # Panics
    /// When `url` is not a URL with a host.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("the URL is valid");
        let port = Some(self.address.port());
        url.set_port(port).expect("the URL has a host");
        url.into()
    }

    /// Closes all connections, and goes on accepting new ones.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Closes all connections and refuses new ones until [`TcpProxy::resume`].
    pub fn refuse(&self) {
        self.state.send_replace(State::Refusing);
    }

    /// Keeps connections open and accepts new ones, but forwards nothing until [`TcpProxy::resume`].
    pub fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// Accepts connections again, and forwards what has arrived since [`TcpProxy::stall`] and everything after it.
    pub fn resume(&self) {
        self.state.send_replace(State::Forwarding);
    }
}

async fn run(
    mut listener: TcpListener,
    address: SocketAddr,
    server: SocketAddr,
    mut state: watch::Receiver<State>,
    cut: Arc<Notify>,
) {
    loop {
        let forwarding = state.clone();
        tokio::select! {
            () = accept(listener, server, forwarding, &cut) => return,
            true = has_changed_to(&mut state, |state| state == State::Refusing) => {}
            else => return,
        }
        // `accept` was dropped, and its listener with it.
        cut.notify_waiters();
        if !has_changed_to(&mut state, |state| state != State::Refusing).await {
            return;
        }
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(LISTEN_RETRY_INTERVAL).await,
            }
        };
    }
}

/// Waits for a state. Returns false if the proxy was dropped.
async fn has_changed_to(state: &mut watch::Receiver<State>, is_right: fn(State) -> bool) -> bool {
    state.wait_for(|state| is_right(*state)).await.is_ok()
}

/// Accepts connections until the listener fails.
async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    state: watch::Receiver<State>,
    cut: &Arc<Notify>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (state, cut) = (state.clone(), Arc::clone(cut));
        tokio::spawn(async move {
            tokio::select! {
                () = connect(client, server, state) => {}
                () = cut.notified() => {}
            }
        });
    }
}

async fn connect(client: TcpStream, server: SocketAddr, state: watch::Receiver<State>) {
    if let Ok(server) = TcpStream::connect(server).await {
        // Otherwise Nagle's algorithm delays a small message until the one before is acknowledged.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            forward(from_client, to_server, state.clone()),
            forward(from_server, to_client, state),
        );
    }
}

/// Forwards one direction. An error on either side ends the connection.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if state
            .wait_for(|state| *state != State::Stalled)
            .await
            .is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
