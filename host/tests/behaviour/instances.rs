//! How long an instance lives and how many requests share it.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::{Runtime, Start};

/// Which instance answered, after `ms`, and what it had served by then.
fn instance(runtime: &Runtime, ms: u32) -> (String, u64) {
    let answer = runtime.get(&format!("/instance?ms={ms}")).json();
    let name = answer["instance"].as_str().unwrap_or_default().to_owned();
    (name, answer["served"].as_u64().unwrap_or_default())
}

#[test]
fn an_instance_serves_128_requests() {
    let runtime = Start::probe().serve();
    let answers: Vec<_> = (0..130).map(|_| instance(&runtime, 0)).collect();
    let mut served: HashMap<String, u64> = HashMap::new();
    for (name, count) in answers {
        let highest = served.entry(name).or_default();
        *highest = count.max(*highest);
    }
    let mut counts: Vec<_> = served.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 128]);
}

#[test]
fn an_instance_serves_16_requests_at_once() {
    let runtime = Start::probe().serve();
    // Requests that come at the very same time start more instances than are needed.
    let names: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = (0..17)
            .map(|_| {
                thread::sleep(Duration::from_millis(30));
                scope.spawn(|| instance(&runtime, 1500).0)
            })
            .collect();
        let answers = asked.into_iter().map(|thread| thread.join());
        answers.map(|name| name.expect("it answers")).collect()
    });
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for name in &names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 16]);
}

#[test]
fn an_idle_instance_is_dropped_after_a_second() {
    let runtime = Start::probe().serve();
    let (first, _) = instance(&runtime, 0);
    thread::sleep(Duration::from_millis(300));
    let (second, served) = instance(&runtime, 0);
    assert_eq!((&second, served), (&first, 2));
    thread::sleep(Duration::from_millis(1500));
    let (third, served) = instance(&runtime, 0);
    assert_ne!(third, first);
    assert_eq!(served, 1);
}

#[test]
fn a_trap_ends_the_other_requests_of_its_instance() {
    let runtime = Start::probe().serve();
    let start = Instant::now();
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.get("/sleep?ms=20000"));
        thread::sleep(Duration::from_millis(500));
        assert_eq!(runtime.get("/trap").status, 500);
        waiting.join().expect("it is answered")
    });
    assert_eq!((waiting.status, waiting.body.len()), (500, 0));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn computing_stalls_the_requests_of_the_same_instance_only() {
    let runtime = Start::probe().serve();
    let names: HashSet<String> = thread::scope(|scope| {
        let busy: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| runtime.get("/argon2")))
            .collect();
        for thread in busy {
            let answer = thread.join().expect("it answers");
            assert!(answer.json()["first_byte"].is_u64(), "{answer:?}");
        }
        HashSet::from([instance(&runtime, 0).0])
    });
    assert_eq!(names.len(), 1);
}
