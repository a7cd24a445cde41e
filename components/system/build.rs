//! Unpacks Swagger UI from its crate and compresses it, so that the component stays small.

use std::{env, error::Error, fs::File, io, path::PathBuf};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
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
