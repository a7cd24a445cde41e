//! Connections of the outbound HTTP client: TCP, and TLS where the URL asks for it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

use crate::limits::{Limit, Permit};
use crate::tls;

tokio::task_local! {
    /// How the request that is being sent wants its connection made: the client passes on only the
    /// URI.
    pub static CONNECTING: Connecting;
}

/// How to make a connection.
#[derive(Clone)]
pub struct Connecting {
    /// For waiting for a permit and for TCP together.
    pub timeout: Duration,
    /// Permits to have a connection.
    pub limit: Limit,
}

/// Why a connection could not be made.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// The URL has no host, or none that TLS can check.
    Uri,
    /// The name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    Timeout,
    /// The other side's TLS or certificate is not acceptable.
    Tls,
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Uri => Self::HttpRequestUriInvalid,
            ConnectError::Name => Self::DnsError {
                rcode: Some("address not available".to_owned()),
                info_code: Some(0),
            },
            ConnectError::Refused => Self::ConnectionRefused,
            ConnectError::Timeout => Self::ConnectionTimeout,
            ConnectError::Tls => Self::TlsProtocolError,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect: {self:?}")
    }
}

impl std::error::Error for ConnectError {}

/// Makes the client's connections as [`CONNECTING`] says.
#[derive(Clone)]
pub struct Connector;

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = CONNECTING.try_get();
        Box::pin(async move {
            // The client connects only from within a request, which has set it.
            let connecting = connecting.map_err(|_| ConnectError::Refused)?;
            let stream = connect(&uri, &connecting).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn connect(uri: &Uri, connecting: &Connecting) -> Result<Stream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Uri)?;
    let with_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let default_port = if with_tls { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(default_port);
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = tokio::net::lookup_host((bare_host, port))
        .await
        .map_err(|_| ConnectError::Name)?
        .collect();
    let connect = async {
        let permit = connecting.limit.acquire().await;
        (TcpStream::connect(&*addresses).await, permit)
    };
    let (tcp, permit) = timeout(connecting.timeout, connect)
        .await
        .map_err(|_| ConnectError::Timeout)?;
    let tcp = tcp.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => ConnectError::Name,
        _ => ConnectError::Refused,
    })?;
    let transport = if with_tls {
        let name = ServerName::try_from(bare_host.to_owned()).map_err(|_| ConnectError::Name)?;
        let tls = TlsConnector::from(HTTP_TLS.clone()).connect(name, tcp);
        Transport::Tls(Box::new(tls.await.map_err(|error| {
            tracing::warn!("tls protocol error: {error:?}");
            ConnectError::Tls
        })?))
    } else {
        Transport::Plain(tcp)
    };
    Ok(Stream {
        transport,
        _permit: permit,
    })
}

static HTTP_TLS: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
    let mut config = tls::client_config(None);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
});

/// A connection with its permit.
pub struct Stream {
    transport: Transport,
    _permit: Permit,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.transport {
            Transport::Plain(tcp) => tcp.connected(),
            Transport::Tls(tls) => {
                let (tcp, session) = tls.get_ref();
                match session.alpn_protocol() {
                    Some(b"h2") => tcp.connected().negotiated_h2(),
                    _ => tcp.connected(),
                }
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
