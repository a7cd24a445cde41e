//! Starting: what is printed, what is rejected, and where the components' output goes.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::runtime::{Start, is_spin, probe_manifest, wait_for};

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn prints_the_public_routes() {
    let runtime = Start::probe().serve();
    let address = runtime.address;
    runtime.wait_for_output("Available Routes:\n");
    runtime.wait_for_output(&format!("  probe: http://{address} (wildcard)\n"));
    runtime.wait_for_output(&format!(
        "  guest: http://{address}/users/:user_id/diaries (wildcard)\n"
    ));
    let output = runtime.output();
    assert!(!output.contains("hidden:"), "{output}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_a_required_variable_without_a_value() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/spin.toml");
    let start = Start::manifest(&manifest).variable("redis_url", "redis://localhost");
    let error = start.fail();
    assert!(error.to_lowercase().contains("database_url"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_a_component_that_is_not_built() {
    let manifest = probe_manifest("/...").replace("probe.wasm", "missing.wasm");
    let error = Start::text(&manifest).fail();
    assert!(error.contains("missing.wasm"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_a_component_that_is_not_wasm() {
    let manifest = "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"broken\"\n\
        [component.broken]\nsource = \"broken.wasm\"\n";
    let error = Start::text(manifest).file("broken.wasm", "not wasm").fail();
    assert!(error.contains("broken"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_an_unknown_key_in_the_manifest() {
    let manifest = probe_manifest("/...") + "allowed_hosts = []\n";
    let error = Start::text(&manifest).fail();
    assert!(error.contains("allowed_hosts"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_an_unknown_section_in_the_runtime_configuration() {
    let start = Start::probe().runtime_config("[outbound_postgres]\nmax_connections = 1\n");
    let error = start.fail();
    assert!(error.contains("outbound_postgres"), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn names_an_address_that_is_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    let address = address.to_string();
    let start = Start::text(&probe_manifest("/...")).option("--listen", &address);
    let error = start.fail();
    assert!(error.contains(&address), "{error}");
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn writes_output_to_the_console_and_to_a_file_for_each_stream() {
    let runtime = Start::probe().serve();
    runtime.get("/print?text=once");
    for (file, line) in [
        ("probe_stdout.txt", "out once\n"),
        ("probe_stderr.txt", "err once\n"),
    ] {
        runtime.wait_for_output(line);
        let path = runtime.folder.path().join("logs").join(file);
        wait_for(file, || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            (text == line).then_some(())
        });
    }
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn starts_without_a_log_folder() {
    if is_spin() {
        return;
    }
    let runtime = Start::probe().without_logs().serve();
    runtime.get("/print?text=once");
    runtime.wait_for_output("out once\n");
    assert!(!runtime.folder.path().join("logs").exists());
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn starts_where_the_compilation_cache_is_not_writable() {
    if is_spin() {
        return;
    }
    let start = Start::probe().environment("XDG_CACHE_HOME", "/proc");
    let runtime = start.serve();
    runtime.wait_for_output("Set XDG_CACHE_HOME to a writable folder.");
    assert_eq!(runtime.get("/health").status, 200);
}

#[test]
#[ignore = "needs servers: `cargo xtask test` starts them"]
fn a_compiled_application_starts_within_a_second() {
    if is_spin() {
        return;
    }
    // The first start may compile.
    drop(Start::probe().serve());
    let start = Instant::now();
    drop(Start::probe().serve());
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}
