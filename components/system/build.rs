//! Compresses the files of Swagger UI for the component, and tells it the newest schema version.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io,
    path::PathBuf,
};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

const MIGRATIONS: &str = "../../migrations";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={MIGRATIONS}");
    println!("cargo::rustc-env=SCHEMA_VERSION={}", schema_version()?);
    compress_swagger_ui()
}

/// Returns the number of the newest migration, such as 6 for `0006_diary_json.up.sql`.
fn schema_version() -> Result<u32, Box<dyn Error>> {
    let mut newest = 0;
    for file in fs::read_dir(MIGRATIONS)? {
        let name = file?.file_name();
        let number = name.to_string_lossy().split('_').next().map(str::parse);
        newest = newest.max(number.ok_or("a migration has no number")??);
    }
    Ok(newest)
}

fn compress_swagger_ui() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut archive = ZipArchive::new(io::Cursor::new(SWAGGER_UI_VENDORED))?;
    for file in FILES {
        let path = archive
            .file_names()
            .find(|name| name.ends_with(&format!("/dist/{file}")))
            .ok_or_else(|| format!("the archive of Swagger UI has no {file}"))?
            .to_owned();
        let mut compressed = GzEncoder::new(
            File::create(out.join(format!("{file}.gz")))?,
            Compression::best(),
        );
        io::copy(&mut archive.by_name(&path)?, &mut compressed)?;
        compressed.finish()?;
    }
    Ok(())
}
