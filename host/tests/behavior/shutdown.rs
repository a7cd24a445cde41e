//! SIGTERM and SIGINT. Spin ends at once with either, so these hold for the embedded host only.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{read_response, send};
use crate::runtime::{Start, is_spin, wait_for};

/// More than a request needs to reach its component.
const UNTIL_IN_FLIGHT: Duration = Duration::from_millis(500);

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sigterm_lets_a_request_in_flight_finish_and_accepts_no_more() {
    if is_spin() {
        return;
    }
    let mut runtime = Start::probe().serve();
    let address = runtime.address;
    let in_flight = thread::spawn(move || send(address, "GET", "/sleep?ms=2500", "", ""));
    thread::sleep(UNTIL_IN_FLIGHT);
    runtime.signal(Signal::TERM);
    wait_for("the host to stop listening", || {
        TcpStream::connect(address).err()
    });
    let response = in_flight.join().expect("no thread panics");
    assert_eq!(response.expect("the host answers").json(), json!({}));
    assert_eq!(runtime.wait(), Some(0));
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sigterm_closes_idle_connections() {
    if is_spin() {
        return;
    }
    let mut runtime = Start::probe().serve();
    let mut idle = TcpStream::connect(runtime.address).expect("the host listens");
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        .expect("the host reads");
    assert_eq!(read_response(&idle).expect("the host answers").status, 200);
    let unused = TcpStream::connect(runtime.address).expect("the host listens");
    let start = Instant::now();
    runtime.signal(Signal::TERM);
    assert_eq!(runtime.wait(), Some(0));
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    drop(unused);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sigterm_aborts_requests_after_ten_seconds() {
    if is_spin() {
        return;
    }
    let mut runtime = Start::probe().serve();
    let address = runtime.address;
    let in_flight = thread::spawn(move || send(address, "GET", "/sleep?ms=30000", "", ""));
    thread::sleep(UNTIL_IN_FLIGHT);
    let start = Instant::now();
    runtime.signal(Signal::TERM);
    assert_eq!(runtime.wait(), Some(0));
    let elapsed = start.elapsed().as_secs();
    assert!((10..12).contains(&elapsed), "{elapsed} s");
    runtime.wait_for_output("Requests were still in flight 10 s after SIGTERM");
    assert!(in_flight.join().expect("no thread panics").is_err());
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn sigint_aborts_requests_at_once() {
    if is_spin() {
        return;
    }
    let mut runtime = Start::probe().serve();
    let address = runtime.address;
    let in_flight = thread::spawn(move || send(address, "GET", "/sleep?ms=30000", "", ""));
    thread::sleep(UNTIL_IN_FLIGHT);
    let start = Instant::now();
    runtime.signal(Signal::INT);
    assert_eq!(runtime.wait(), Some(0));
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert!(in_flight.join().expect("no thread panics").is_err());
}
