//! `wasi:http/client` to other servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::runtime::Start;

/// An HTTP server that returns each request as the body of its response.
struct EchoServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl EchoServer {
    fn start() -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let address = serve(move |stream| {
            count.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || echo(stream));
        });
        Self {
            address,
            connections,
        }
    }

    fn start_probe(&self) -> Start {
        Start::probe().variable("http_host", &format!("http://{}", self.address))
    }
}

/// Answers until the client closes the connection.
fn echo(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if reader.read_line(&mut request).ok()? == 0 {
                return None;
            }
        }
        let mut lines = request.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        request.push_str(&String::from_utf8_lossy(&body));
        let length = request.len();
        let response = format!("HTTP/1.1 203 Odd\r\ncontent-length: {length}\r\n\r\n{request}");
        (&stream).write_all(response.as_bytes()).ok()?;
    }
}

/// Listens on a free port and passes each connection to `accept`.
fn serve(mut accept: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    thread::spawn(move || {
        listener
            .incoming()
            .map_while(Result::ok)
            .for_each(&mut accept);
    });
    address
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sends_a_request_to_an_allowed_host() {
    let server = EchoServer::start();
    let runtime = server.start_probe().serve();
    let address = server.address;
    let target = format!("/fetch?url=http://{address}/path?query=1");
    let response = runtime.post(&target, "the body").json();
    assert_eq!(response["status"], 203);
    let request = response["body"].as_str().expect("the server echoes");
    let mut lines: Vec<_> = request.split("\r\n").collect();
    // The order of headers is the client's.
    lines[1..].sort_unstable();
    let host = format!("host: {address}");
    let expected = [
        "POST /path?query=1 HTTP/1.1",
        "",
        "content-length: 8",
        &host,
        "the body",
        "x-probe: fetch",
    ];
    assert_eq!(lines, expected);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn denies_a_host_that_is_not_allowed_and_prints_how_to_allow_it() {
    let server = EchoServer::start();
    let runtime = Start::probe().serve();
    let address = server.address;
    let response = runtime.get(&format!("/fetch?url=http://{address}/"));
    assert_eq!(response.error(), "ErrorCode::HttpRequestDenied");
    runtime.wait_for_output(&format!(
        "add 'allowed_outbound_hosts = [\"http://{address}\"]'"
    ));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

/// Has the probe fetch `/` of a server, and returns the error.
fn fetch_error(scheme: &str, address: SocketAddr) -> String {
    let url = format!("{scheme}://{address}");
    let runtime = Start::probe().variable("http_host", &url).serve();
    runtime.get(&format!("/fetch?url={url}/")).error()
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_port_where_nothing_listens_is_connection_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    drop(listener);
    assert_eq!(fetch_error("http", address), "ErrorCode::ConnectionRefused");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_unknown_name_is_a_dns_error() {
    let url = "http://unknown.invalid:80";
    let runtime = Start::probe().variable("http_host", url).serve();
    let error = runtime.get(&format!("/fetch?url={url}/")).error();
    assert!(error.starts_with("ErrorCode::DnsError("), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_response_that_is_not_http_or_tls_is_a_protocol_error() {
    let address = serve(|mut stream| _ = stream.write_all(b"nonsense\r\n\r\n"));
    assert_eq!(fetch_error("http", address), "ErrorCode::HttpProtocolError");
    assert_eq!(fetch_error("https", address), "ErrorCode::TlsProtocolError");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn pools_connections_unless_the_runtime_configuration_turns_it_off() {
    let connections = |configure: fn(Start) -> Start| {
        let server = EchoServer::start();
        let runtime = configure(server.start_probe()).serve();
        for _ in 0..3 {
            let response = runtime.get(&format!("/fetch?url=http://{}/", server.address));
            assert_eq!(response.json()["status"], json!(203));
        }
        server.connections.load(Ordering::SeqCst)
    };
    assert_eq!(connections(|start| start), 1);
    let section = |start: Start| start.runtime_config("[outbound_http]\nmax_connections = 8\n");
    assert_eq!(connections(section), 3);
}
