//! Finds the WIT files that ship inside the spin-sdk crate, so that the host's bindings agree with the components'.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let wit = sdk_folder().join("wit");
    assert!(wit.is_dir(), "spin-sdk has no folder {}", wit.display());
    println!("cargo::rerun-if-changed={}", wit.display());
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let call = format!("bindings_from! {{ {:?} }}\n", wit.display().to_string());
    std::fs::write(Path::new(&out).join("wit.rs"), call).expect("OUT_DIR is writable");
}

/// Where cargo keeps the source of spin-sdk: in the registry, vendored or in a folder, cargo knows.
///
/// Offline first, since the packages are usually there; a fresh clone may need the network once
/// more, for packages of other targets that this build did not fetch.
fn sdk_folder() -> PathBuf {
    let metadata = metadata(&["--offline"]).or_else(|_| metadata(&[]));
    let metadata = metadata.unwrap_or_else(|error| panic!("cargo metadata failed: {error}"));
    let packages = metadata["packages"].as_array();
    let manifest = packages
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "spin-sdk")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("spin-sdk is a dependency of the workspace");
    Path::new(manifest)
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned()
}

fn metadata(arguments: &[&str]) -> Result<serde_json::Value, String> {
    let cargo = std::env::var("CARGO").expect("cargo sets CARGO");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
