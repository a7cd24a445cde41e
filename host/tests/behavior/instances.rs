//! How long an instance lives and how many requests share it.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::{Runtime, Start};

/// Sends a request that takes `ms`. Returns the instance, and how many requests it had received.
fn instance(runtime: &Runtime, ms: u32) -> (String, u64) {
    let response = runtime.get(&format!("/instance?ms={ms}")).json();
    let id = response["instance"].as_str().expect("the probe returns it");
    let requests = response["requests"].as_u64();
    (id.to_owned(), requests.expect("the probe returns it"))
}

/// Counts how often each item occurs, in ascending order.
fn counts(items: impl Iterator<Item = String>) -> Vec<u32> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable();
    counts
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_instance_serves_128_requests() {
    let runtime = Start::probe().serve();
    let instances = (0..130).map(|_| instance(&runtime, 0).0);
    assert_eq!(counts(instances), [2, 128]);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_instance_serves_16_requests_at_once() {
    let runtime = Start::probe().serve();
    let instances: Vec<_> = thread::scope(|scope| {
        let requests: Vec<_> = (0..17)
            .map(|_| {
                // Requests that arrive at the very same time start more instances than needed.
                thread::sleep(Duration::from_millis(30));
                scope.spawn(|| instance(&runtime, 1500).0)
            })
            .collect();
        let requests = requests.into_iter().map(|request| request.join());
        requests.map(|id| id.expect("no thread panics")).collect()
    });
    assert_eq!(counts(instances.into_iter()), [1, 16]);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn an_idle_instance_is_dropped_after_one_second() {
    let runtime = Start::probe().serve();
    let (first, requests) = instance(&runtime, 0);
    assert_eq!(requests, 1);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(instance(&runtime, 0), (first.clone(), 2));
    thread::sleep(Duration::from_millis(1500));
    let (next, requests) = instance(&runtime, 0);
    assert_ne!(next, first);
    assert_eq!(requests, 1);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_trap_aborts_the_other_requests_of_its_instance() {
    let runtime = Start::probe().serve();
    let start = Instant::now();
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.get("/sleep?ms=20000"));
        thread::sleep(Duration::from_millis(500));
        assert_eq!(runtime.get("/trap").status, 500);
        waiting.join().expect("no thread panics")
    });
    assert_eq!((waiting.status, waiting.body.len()), (500, 0));
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// The benchmark compares logins with this route of the probe.
#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn the_probe_hashes_concurrently() {
    let runtime = Start::probe().serve();
    let hash = || runtime.get("/argon2").json();
    let expected = hash();
    assert!(expected["first_byte"].is_u64(), "{expected}");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(hash(), expected));
        }
    });
}
