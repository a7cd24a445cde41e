//! An HTTP/1.1 client that sends exactly the bytes that a test gives it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any response takes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A response with its body.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Response {
    /// Parses the body.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error} in {}", self.body.escape_ascii()))
    }

    /// Returns the member `error` of the body.
    pub fn error(&self) -> String {
        let json = self.json();
        let error = json["error"].as_str();
        error
            .unwrap_or_else(|| panic!("no error in {json}"))
            .to_owned()
    }
}

/// Sends a request. Each of `headers` ends in CRLF.
pub fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> io::Result<Response> {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    send_raw(address, &[head.as_bytes(), body.as_bytes()].concat())
}

/// Sends `request` and reads the response. A connection that closes without one is an error.
pub fn send_raw(address: SocketAddr, request: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    read_response(&stream)
}

/// Reads the response to a request that has been sent.
pub fn read_response(stream: &TcpStream) -> io::Result<Response> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no response but {line:?}")))?;
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    io::Read::read_exact(&mut reader, &mut body)?;
    Ok(Response { status, body })
}
