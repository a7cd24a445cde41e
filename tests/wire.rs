//! A wire between the service and a server, which can go silent: as if the server's machine had stopped.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// A running wire; ends with the process.
pub struct Wire {
    address: SocketAddr,
    silent: watch::Sender<bool>,
}

impl Wire {
    /// A wire to `server`, on a free port.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (silent, heard) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, heard.clone()));
            }
        });
        Self { address, silent }
    }

    /// The URL of a server, over this wire.
    pub fn over(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("a URL");
        url.set_port(Some(self.address.port()))
            .expect("a URL with a host");
        url.into()
    }

    /// Keeps every connection open, takes new ones, and passes nothing on until it speaks again.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Passes on what was said meanwhile, and goes on.
    pub fn speak(&self) {
        self.silent.send_replace(false);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, heard: watch::Receiver<bool>) {
    if let Ok(server) = TcpStream::connect(server).await {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            pass_on(from_client, to_server, heard.clone()),
            pass_on(from_server, to_client, heard),
        );
    }
}

/// An error on either side ends the connection, as it would without a wire.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut heard: watch::Receiver<bool>,
) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if heard.wait_for(|silent| !silent).await.is_err()
            || to.write_all(&piece[..length]).await.is_err()
        {
            return;
        }
    }
}
