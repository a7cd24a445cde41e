//! What clients sent that must not be in a log, and the logs of all instances, which are searched after the last test.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aho_corasick::AhoCorasick;
use serde_json::Value;

/// Shorter values occur in logs by chance.
const MIN_LENGTH: usize = 10;

/// Values of fewer different characters, such as 5,000 times the same, do too.
const MIN_DIFFERENT_CHARACTERS: usize = 4;

/// The number of characters of a long text that are searched for.
const MAX_CHARACTERS: usize = 60;

static STATE: Mutex<State> = Mutex::new(State {
    values: BTreeSet::new(),
    logs: Vec::new(),
});

struct State {
    values: BTreeSet<String>,
    logs: Vec<String>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a value as it is, and as it looks inside a JSON string.
pub fn add(value: &str) {
    let beginning: String = value.trim().chars().take(MAX_CHARACTERS).collect();
    let different: BTreeSet<char> = beginning.chars().collect();
    if beginning.len() < MIN_LENGTH || different.len() < MIN_DIFFERENT_CHARACTERS {
        return;
    }
    let quoted = Value::from(beginning.as_str()).to_string();
    let mut state = state();
    state.values.insert(quoted.trim_matches('"').to_owned());
    state.values.insert(beginning);
}

/// Adds the text, email and password in the body of a request.
pub fn add_body(body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    for field in ["content", "email", "password"] {
        if let Some(value) = body[field].as_str() {
            add(value);
        }
    }
}

/// Keeps the log of an instance for [`leaks`].
pub fn keep_log(log: String) {
    state().logs.push(log);
}

/// Returns the lines of all kept logs that contain a private value, and the number of lines searched.
pub fn leaks() -> (Vec<String>, usize) {
    let state = state();
    let values = AhoCorasick::new(&state.values).expect("the values fit into an automaton");
    let lines = state.logs.iter().flat_map(|log| log.lines());
    let leaks = lines.clone().filter(|line| values.is_match(line));
    (leaks.map(str::to_owned).collect(), lines.count())
}
