//! Load from a process of its own: wrk, with a script that sends the requests and reports the figures.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::apt::{self, find_program};
use crate::client::Call;
use crate::runtime::App;

/// Stands in a body for a number of the same length that no other request has.
pub const NUMBER: &str = "NNNNNNNNNNNN";

/// What is measured: requests sent over and over, as fast as they are answered.
pub struct Load<'a> {
    /// Who answers.
    pub app: &'a App,
    connections: u32,
    /// Sent in turn.
    calls: Vec<Call>,
}

impl<'a> Load<'a> {
    /// Load of `connections` at once, each of which has one request under way all the time.
    pub fn new(app: &'a App, connections: u32, calls: Vec<Call>) -> Self {
        Self {
            app,
            connections,
            calls,
        }
    }

    /// Sends the first request once: a failure says more here than under load.
    ///
    /// # Errors
    /// When it fails.
    pub async fn try_once(&self) -> Result<()> {
        match self.calls.first() {
            Some(call) => call.send(self.app.url()).await.map(drop),
            None => bail!("there is nothing to send"),
        }
    }
}

impl fmt::Display for Load<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = self.calls.first() {
            write!(formatter, "{} {} ", call.method, call.path)?;
        }
        write!(formatter, "at {}", self.connections)
    }
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests answered per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// Latency in milliseconds that one request of a hundred exceeds.
    pub p99: f64,
    /// Mean latency in milliseconds.
    pub mean: f64,
    /// Answers of status 400 and above, and connections that failed or timed out.
    pub errors: u64,
    /// KiB that the runtime held at most.
    pub memory: u64,
}

impl Figures {
    /// Those of the faster of two runs, with the errors of both.
    pub fn better(self, other: Self) -> Self {
        let errors = self.errors + other.errors;
        let faster = if other.rate > self.rate { other } else { self };
        Self { errors, ..faster }
    }
}

/// The program that makes the load.
pub struct Generator {
    program: PathBuf,
}

impl Generator {
    /// wrk from the PATH; installed where it is missing and that is ours to do. Blocks.
    ///
    /// # Errors
    /// When it is missing and cannot be installed.
    pub fn find_or_install() -> Result<Self> {
        let program = match find_program("wrk") {
            Some(program) => program,
            None => {
                apt::install(&["wrk"], "the load generator wrk")?;
                find_program("wrk").context("wrk is installed, but not on the PATH")?
            }
        };
        Ok(Self { program })
    }

    /// Its name and version.
    pub async fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output().await;
        let printed = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&printed);
        let words: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
        words.join(" ")
    }

    /// Makes the load for so long.
    ///
    /// # Errors
    /// When wrk fails, or not one request was answered.
    pub async fn run(&self, load: &Load<'_>, duration: Duration) -> Result<Figures> {
        let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        std::fs::write(script.path(), lua_script(&load.calls))?;
        let threads = load.connections.min(2);
        let output = Command::new(&self.program)
            .args(["--threads", &threads.to_string()])
            .args(["--connections", &load.connections.to_string()])
            .args(["--duration", &format!("{}s", duration.as_secs())])
            // Logins queue for a second and more, and a slow answer is no error.
            .args(["--timeout", "30s"])
            .arg("--script")
            .arg(script.path())
            .arg(load.app.url())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        ensure!(output.status.success(), "wrk failed:\n{printed}");
        figures(&printed)
    }
}

/// What marks the line of the script's report.
const REPORT: &str = "measured ";

/// Prepares all requests once, begins elsewhere in each thread, and reports in JSON at the end.
const SCRIPT: &str = r#"
local started = 0
function setup(thread)
  thread:set("thread_number", started)
  started = started + 1
end

local prepared, last, sent = {}, 0, 0
function init()
  for number, call in ipairs(calls) do
    prepared[number] = wrk.format(call.method, call.path, call.headers, call.body)
  end
  last = math.floor(thread_number * #prepared / 2)
end

function request()
  last = last % #prepared + 1
  sent = sent + 1
  return (prepared[last]:gsub("NNNNNNNNNNNN", string.format("%03d%d%08d", round, thread_number, sent)))
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'measured {"requests":%d,"duration":%d,"p50":%.1f,"p99":%.1f,"mean":%.1f,"status":%d,"socket":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.mean,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"#;

fn lua_script(calls: &[Call]) -> String {
    // Tells the requests of one run from those of another.
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let round = ROUND.fetch_add(1, Relaxed) % 1000;
    let mut script = format!("local round = {round}\nlocal calls = {{\n");
    for call in calls {
        let (method, path) = (lua_string(call.method), lua_string(&call.path));
        let _ = write!(
            script,
            "  {{ method = {method}, path = {path}, headers = {{"
        );
        for (name, value) in call.headers() {
            let _ = write!(script, " [{}] = {},", lua_string(name), lua_string(&value));
        }
        script.push_str(" }");
        if let Some(body) = &call.body {
            let _ = write!(script, ", body = {}", lua_string(body));
        }
        script.push_str(" },\n");
    }
    script + "}\n" + SCRIPT
}

/// A string in Lua, with whatever is not plainly printable by its number.
fn lua_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | ..b' ' | 127.. => {
                let _ = write!(quoted, "\\{byte:03}");
            }
            _ => quoted.push(char::from(byte)),
        }
    }
    quoted + "\""
}

/// The figures in what wrk printed; its times are in microseconds.
fn figures(printed: &str) -> Result<Figures> {
    let report = printed.lines().find_map(|line| line.strip_prefix(REPORT));
    let report: Value = report
        .and_then(|json| serde_json::from_str(json).ok())
        .with_context(|| format!("wrk measured nothing. It printed:\n{printed}"))?;
    let number = |name: &str| {
        let value = report.get(name).and_then(Value::as_f64);
        value.with_context(|| format!("wrk did not report {name}"))
    };
    let count = |name: &str| {
        let value = report.get(name).and_then(Value::as_u64);
        value.with_context(|| format!("wrk did not report {name}"))
    };
    let requests = number("requests")?;
    ensure!(
        requests > 0.0,
        "no request was answered. wrk printed:\n{printed}"
    );
    Ok(Figures {
        rate: requests * 1e6 / number("duration")?,
        p50: number("p50")? / 1e3,
        p99: number("p99")? / 1e3,
        mean: number("mean")? / 1e3,
        errors: count("status")? + count("socket")?,
        memory: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_read_from_among_what_wrk_prints() {
        let printed = "Running 6s test @ http://127.0.0.1:3000\n  2 threads and 32 connections\n\
            Requests/sec:   1000.0\n\
            measured {\"requests\":6000,\"duration\":6000000,\"p50\":15500.0,\"p99\":44000.0,\"mean\":16000.0,\"status\":3,\"socket\":2}\n";
        let expected = Figures {
            rate: 1000.0,
            p50: 15.5,
            p99: 44.0,
            mean: 16.0,
            errors: 5,
            memory: 0,
        };
        assert_eq!(figures(printed).unwrap(), expected);
    }

    #[test]
    fn a_run_without_a_single_answer_is_no_measurement() {
        let nothing = "measured {\"requests\":0,\"duration\":6000000,\"p50\":0,\"p99\":0,\"mean\":0,\"status\":0,\"socket\":9}";
        let error = figures(nothing).unwrap_err().to_string();
        assert!(error.contains("no request was answered"), "{error}");
        let not_a_number = "measured {\"requests\":0,\"duration\":6,\"mean\":-nan}";
        assert!(figures(not_a_number).is_err());
        assert!(figures("unable to connect to 127.0.0.1:1 Connection refused").is_err());
    }

    #[test]
    fn the_faster_run_counts_with_the_errors_of_both() {
        let run = |rate, errors| Figures {
            rate,
            errors,
            ..Figures::default()
        };
        assert_eq!(run(10.0, 1).better(run(20.0, 2)), run(20.0, 3));
        assert_eq!(run(20.0, 1).better(run(10.0, 2)), run(20.0, 3));
    }

    #[test]
    fn calls_become_lua() {
        let call = Call::post("/a?b=\"c\"", &json!({ "text": "é\n" })).with_token("t.o-k");
        let script = lua_script(&[call]);
        let expected = r#"  { method = "POST", path = "/a?b=\034c\034", headers = { ["authorization"] = "Bearer t.o-k", ["content-type"] = "application/json", }, body = "{\034text\034:\034\195\169\092n\034}" },"#;
        assert!(script.lines().any(|line| line == expected), "{script}");
        assert!(script.contains(REPORT));
    }
}
