//! Outbound HTTP: permissions, errors, and connections kept for later requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::runtime::Start;

/// A server that answers every request with its own head and body, and counts its connections.
struct Echo {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || echo(stream));
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn start_probe(&self) -> Start {
        Start::probe().variable("http_host", &format!("http://{}", self.address))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers until the client ends the connection.
fn echo(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap_or(0))];
        reader.read_exact(&mut body).ok()?;
        let text = format!("{head}{}", String::from_utf8_lossy(&body));
        let answer = format!(
            "HTTP/1.1 203 Odd\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        (&stream).write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn an_allowed_host_is_reached() {
    let echo = Echo::start();
    let runtime = echo.start_probe().serve();
    let target = format!("/fetch?url=http://{}/path?query=1", echo.address);
    let answer = runtime.post(&target, "the body").json();
    assert_eq!(answer["status"], 203);
    let seen = answer["body"].as_str().unwrap_or_default();
    assert!(
        seen.starts_with("POST /path?query=1 HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("host: {}\r\n", echo.address)),
        "{seen}"
    );
    assert!(seen.contains("x-probe: fetch\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\nthe body"), "{seen}");
}

#[test]
fn a_host_that_is_not_allowed_is_denied_and_told() {
    let echo = Echo::start();
    let runtime = Start::probe().serve();
    let answer = runtime.get(&format!("/fetch?url=http://{}/", echo.address));
    assert_eq!(answer.error(), "ErrorCode::HttpRequestDenied");
    let advice = format!(
        "add 'allowed_outbound_hosts = [\"http://{}\"]'",
        echo.address
    );
    runtime.wait_for_output(&advice);
    assert_eq!(echo.connections(), 0);
}

#[test]
fn nobody_listening_is_a_refused_connection() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    drop(taken);
    let start = Start::probe().variable("http_host", &format!("http://{address}"));
    let answer = start.serve().get(&format!("/fetch?url=http://{address}/"));
    assert_eq!(answer.error(), "ErrorCode::ConnectionRefused");
}

/// A server that answers something else than HTTP or TLS.
fn start_nonsense() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            _ = stream.write_all(b"nonsense\r\n\r\n");
        }
    });
    address
}

#[test]
fn an_answer_that_is_not_http_is_a_protocol_error() {
    let address = start_nonsense();
    let start = Start::probe().variable("http_host", &format!("http://{address}"));
    let answer = start.serve().get(&format!("/fetch?url=http://{address}/"));
    assert_eq!(answer.error(), "ErrorCode::HttpProtocolError");
}

#[test]
fn an_answer_that_is_not_tls_is_a_tls_error() {
    let address = start_nonsense();
    let start = Start::probe().variable("http_host", &format!("https://{address}"));
    let answer = start.serve().get(&format!("/fetch?url=https://{address}/"));
    assert_eq!(answer.error(), "ErrorCode::TlsProtocolError");
}

#[test]
fn connections_are_kept_unless_the_runtime_configuration_has_a_section_without_it() {
    let echo = Echo::start();
    let target = format!("/fetch?url=http://{}/", echo.address);
    let runtime = echo.start_probe().serve();
    for _ in 0..3 {
        assert_eq!(runtime.get(&target).json()["status"], 203);
    }
    assert_eq!(echo.connections(), 1);
    drop(runtime);

    let echo = Echo::start();
    let target = format!("/fetch?url=http://{}/", echo.address);
    let start = echo
        .start_probe()
        .file("runtime.toml", "[outbound_http]\nmax_connections = 8\n")
        .option("--runtime-config-file", "runtime.toml");
    let runtime = start.serve();
    for _ in 0..3 {
        assert_eq!(runtime.get(&target).json()["status"], 203);
    }
    assert_eq!(echo.connections(), 3);
}
