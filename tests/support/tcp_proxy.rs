//! A TCP proxy between the service and a server, which can stop forwarding, as if the server's machine had hung.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// A running proxy. It ends with the process.
pub struct TcpProxy {
    address: SocketAddr,
    is_stalled: watch::Sender<bool>,
}

impl TcpProxy {
    /// Starts a proxy to `server` on a free port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let (is_stalled, receiver) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, receiver.clone()));
            }
        });
        Self {
            address,
            is_stalled,
        }
    }

    /// Returns `url` with the port of this proxy.
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("the URL is valid");
        let port = Some(self.address.port());
        url.set_port(port).expect("the URL has a host");
        url.into()
    }

    /// Keeps connections open and accepts new ones, but forwards nothing until [`TcpProxy::resume`].
    pub fn stall(&self) {
        self.is_stalled.send_replace(true);
    }

    /// Forwards what has arrived since [`TcpProxy::stall`], and everything after it.
    pub fn resume(&self) {
        self.is_stalled.send_replace(false);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, is_stalled: watch::Receiver<bool>) {
    if let Ok(server) = TcpStream::connect(server).await {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            forward(from_client, to_server, is_stalled.clone()),
            forward(from_server, to_client, is_stalled),
        );
    }
}

/// Forwards one direction. An error on either side ends the connection.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut is_stalled: watch::Receiver<bool>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if is_stalled.wait_for(|stalled| !stalled).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
