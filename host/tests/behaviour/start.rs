//! Starting and ending: what is printed, what is refused, where output goes.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::send;
use crate::runtime::{Start, is_spin, probe_wasm, wait_for};

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"probe\"\n";

fn error(start: Start) -> String {
    let output = start.fail();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("Serving"));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_routes_are_listed() {
    let runtime = Start::probe().serve();
    let address = runtime.address;
    runtime.wait_for_output("Available Routes:\n");
    runtime.wait_for_output(&format!("  probe: http://{address} (wildcard)\n"));
    let parameter = format!("  guest: http://{address}/users/:user_id/diaries (wildcard)\n");
    runtime.wait_for_output(&parameter);
    assert!(
        !runtime
            .output
            .lock()
            .expect("no thread panics")
            .contains("hidden:")
    );
}

#[test]
fn a_required_variable_without_value_is_named() {
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/spin.toml");
    let start = Start::manifest(&manifest).variable("redis_url", "redis://localhost");
    assert!(error(start).contains("database_url"));
}

#[test]
fn a_component_that_is_not_built_is_named() {
    let text = error(Start::text(&format!(
        "{HEAD}[component.probe]\nsource = \"no.wasm\"\n"
    )));
    assert!(text.contains("no.wasm"), "{text}");
}

#[test]
fn a_file_that_is_no_component_is_refused() {
    let folder = std::env::temp_dir().join(format!("host-no-component-{}", std::process::id()));
    std::fs::write(&folder, "not wasm").expect("the temporary folder is writable");
    let text = error(Start::text(&format!(
        "{HEAD}[component.probe]\nsource = {folder:?}\n"
    )));
    std::fs::remove_file(&folder).expect("it is there");
    assert!(text.contains("probe"), "{text}");
}

#[test]
fn an_unknown_key_in_the_manifest_is_refused() {
    let wasm = probe_wasm();
    let manifest = format!("{HEAD}[component.probe]\nsource = {wasm:?}\nallowed_hosts = []\n");
    let text = error(Start::text(&manifest));
    assert!(text.contains("allowed_hosts"), "{text}");
}

#[test]
fn an_unknown_section_in_the_runtime_configuration_is_refused() {
    let start = Start::probe()
        .file("runtime.toml", "[outbound_postgres]\nmax_connections = 1\n")
        .option("--runtime-config-file", "runtime.toml");
    let text = error(start);
    assert!(text.contains("outbound_postgres"), "{text}");
}

#[test]
fn a_port_in_use_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let wasm = probe_wasm();
    let manifest = format!("{HEAD}[component.probe]\nsource = {wasm:?}\n");
    let text = error(Start::text_on(&manifest, &address));
    assert!(text.contains(&address), "{text}");
}

#[test]
fn output_goes_to_a_file_for_each_stream_and_to_the_console() {
    let runtime = Start::probe().serve();
    runtime.get("/print?text=once");
    runtime.wait_for_output("out once\n");
    runtime.wait_for_output("err once\n");
    for (file, line) in [
        ("probe_stdout.txt", "out once\n"),
        ("probe_stderr.txt", "err once\n"),
    ] {
        let path = runtime.state.join("logs").join(file);
        let written = wait_for(|| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            (text == line).then_some(())
        });
        assert!(written.is_some(), "{file}");
    }
}

#[test]
fn quiet_keeps_components_off_the_console() {
    let runtime = Start::probe().flag("--quiet").serve();
    runtime.get("/print?text=hushed");
    let path = runtime.state.join("logs/probe_stdout.txt");
    let written = wait_for(|| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.contains("hushed").then_some(())
    });
    assert!(written.is_some());
    assert!(
        !runtime
            .output
            .lock()
            .expect("no thread panics")
            .contains("hushed")
    );
}

#[test]
fn a_signal_ends_it_without_waiting_for_requests() {
    let mut runtime = Start::probe().serve();
    let address = runtime.address;
    let waiting = thread::spawn(move || send(address, "GET", "/sleep?ms=30000", "", ""));
    thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    runtime.terminate();
    assert!(start.elapsed() < Duration::from_secs(5));
    let answer = waiting.join().expect("the client does not panic");
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn the_host_starts_within_a_second() {
    if is_spin() {
        return;
    }
    // The first start may compile.
    drop(Start::probe().serve());
    let start = Instant::now();
    drop(Start::probe().serve());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}
