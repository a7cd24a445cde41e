//! Load on a running service from a process of its own: wrk, with a script that sends the requests and reports measurements.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::api::Call;
use crate::apt;
use crate::runtime::App;

/// Placeholder in a body for a number of the same length that is unique to the request.
pub const UNIQUE: &str = "NNNNNNNNNNNN";

/// The load of one measurement: requests that are sent repeatedly, as fast as they are answered.
pub struct Load<'a> {
    /// What is measured, as the report names it.
    pub name: String,
    /// The service that is measured.
    pub app: &'a App,
    /// The URL of a proxy in front of it, through which the requests go.
    pub proxy: Option<&'a str>,
    /// Concurrent connections, each with one request at a time.
    pub connections: u32,
    /// Sent in turn.
    pub calls: Vec<Call>,
    /// The average pause of a connection before each request; at random, from none to twice that.
    pub think: Duration,
}

impl Load<'_> {
    fn url(&self) -> &str {
        self.proxy.unwrap_or(self.app.url())
    }

    /// Sends the first request once: an error says more here than under load.
    ///
    /// # Errors
    /// When it fails.
    pub async fn try_once(&self) -> Result<()> {
        let call = self.calls.first().context("there is nothing to send")?;
        call.send(self.url()).await.map(drop)
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// Responses per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99: f64,
    /// Mean latency in milliseconds.
    pub mean: f64,
    /// Responses of status 400 and above, and connections that failed or timed out.
    pub errors: u64,
    /// Peak resident memory of the runtime in KiB.
    pub memory: u64,
}

impl Measurement {
    /// Returns the faster of two runs, with the errors of both.
    #[must_use]
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
    /// Returns the wrk on the PATH; installs it if it is missing. Blocks.
    ///
    /// # Errors
    /// When it is missing and cannot be installed.
    pub fn find_or_install() -> Result<Self> {
        let program = which::which("wrk").or_else(|_| {
            apt::install(&["wrk"], "the load generator wrk")?;
            which::which("wrk").context("wrk is installed, but not on the PATH")
        })?;
        Ok(Self { program })
    }

    /// Returns name and version.
    pub async fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output().await;
        let printed = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&printed);
        let words: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
        words.join(" ")
    }

    /// Makes the load for `duration`.
    ///
    /// # Errors
    /// When wrk fails, or no request was answered.
    pub async fn run(&self, load: &Load<'_>, duration: Duration) -> Result<Measurement> {
        let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        std::fs::write(script.path(), lua_script(&load.calls, load.think))?;
        let output = Command::new(&self.program)
            .args(["--threads", &load.connections.min(2).to_string()])
            .args(["--connections", &load.connections.to_string()])
            .args(["--duration", &format!("{}s", duration.as_secs())])
            // Logins wait in line for a second and more, which is no error.
            .args(["--timeout", "30s", "--script"])
            .arg(script.path())
            .arg(load.url())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        ensure!(output.status.success(), "wrk failed:\n{printed}");
        parse(&printed)
    }
}

/// Prefix of the line that the script reports.
const REPORT: &str = "measured ";

/// The part of the script that does not depend on the requests.
const SCRIPT: &str = include_str!("load.lua");

fn lua_script(calls: &[Call], think: Duration) -> String {
    // Makes the numbers in the requests of different runs different.
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let round = ROUND.fetch_add(1, Relaxed) % 1000;
    let think = think.as_millis();
    let mut script = format!("local round = {round}\nlocal think = {think}\nlocal calls = {{\n");
    for call in calls {
        let (method, path) = (lua_string(call.method), lua_string(&call.path));
        script += &format!("  {{ method = {method}, path = {path}, headers = {{");
        for (name, value) in call.headers() {
            script += &format!(" [{}] = {},", lua_string(name), lua_string(&value));
        }
        script += " }";
        if let Some(body) = &call.body {
            script += &format!(", body = {}", lua_string(body));
        }
        script += " },\n";
    }
    script + "}\n" + SCRIPT
}

/// Returns a Lua string literal; whatever is not printable ASCII is written by its number.
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

/// Parses the script's report in the output of wrk; its times are in microseconds.
fn parse(printed: &str) -> Result<Measurement> {
    let report = printed.lines().find_map(|line| line.strip_prefix(REPORT));
    let report: Value = report
        .and_then(|json| serde_json::from_str(json).ok())
        .with_context(|| format!("wrk measured nothing. It printed:\n{printed}"))?;
    let value = |name: &str| {
        report
            .get(name)
            .with_context(|| format!("wrk did not report {name}"))
    };
    let number = |name: &str| value(name)?.as_f64().context("it is not a number");
    let count = |name: &str| value(name)?.as_u64().context("it is not a count");
    let requests = number("requests")?;
    ensure!(
        requests > 0.0,
        "no request was answered. wrk printed:\n{printed}"
    );
    Ok(Measurement {
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
    fn parses_the_report_in_the_output_of_wrk() {
        let printed = "Running 6s test @ http://127.0.0.1:3000\n  2 threads and 32 connections\n\
            Requests/sec:   1000.0\n\
            measured {\"requests\":6000,\"duration\":6000000,\"p50\":15500.0,\"p99\":44000.0,\"mean\":16000.0,\"status\":3,\"socket\":2}\n";
        let expected = Measurement {
            rate: 1000.0,
            p50: 15.5,
            p99: 44.0,
            mean: 16.0,
            errors: 5,
            memory: 0,
        };
        assert_eq!(parse(printed).unwrap(), expected);
    }

    #[test]
    fn refuses_a_run_without_an_answer() {
        let nothing = "measured {\"requests\":0,\"duration\":6000000,\"p50\":0,\"p99\":0,\"mean\":0,\"status\":0,\"socket\":9}";
        let error = parse(nothing).unwrap_err().to_string();
        assert!(error.contains("no request was answered"), "{error}");
        let not_a_number = "measured {\"requests\":0,\"duration\":6,\"mean\":-nan}";
        assert!(parse(not_a_number).is_err());
        assert!(parse("unable to connect to 127.0.0.1:1 Connection refused").is_err());
    }

    #[test]
    fn takes_the_faster_run_with_the_errors_of_both() {
        let run = |rate, errors| Measurement {
            rate,
            errors,
            ..Measurement::default()
        };
        assert_eq!(run(10.0, 1).better(run(20.0, 2)), run(20.0, 3));
        assert_eq!(run(20.0, 1).better(run(10.0, 2)), run(20.0, 3));
    }

    #[test]
    fn writes_calls_as_lua() {
        let call = Call::post("/a?b=\"c\"", &json!({ "text": "é\n" })).with_token("t.o-k");
        let script = lua_script(&[call], Duration::from_secs(2));
        let expected = r#"  { method = "POST", path = "/a?b=\034c\034", headers = { ["authorization"] = "Bearer t.o-k", ["content-type"] = "application/json", }, body = "{\034text\034:\034\195\169\092n\034}" },"#;
        assert!(script.lines().any(|line| line == expected), "{script}");
        assert!(script.contains("\nlocal think = 2000\n"), "{script}");
        assert!(script.contains(REPORT));
    }
}
