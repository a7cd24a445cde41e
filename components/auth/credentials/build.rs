//! Compresses the list of common passwords for the component.

use std::{env, error::Error, fs, path::PathBuf};

use miniz_oxide::deflate::compress_to_vec;

const LIST: &str = "src/common_passwords.txt";

/// The best and slowest compression.
const LEVEL: u8 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    let compressed = compress_to_vec(&fs::read(LIST)?, LEVEL);
    let file = PathBuf::from(env::var("OUT_DIR")?).join("common_passwords.deflate");
    fs::write(file, compressed)?;
    Ok(())
}
