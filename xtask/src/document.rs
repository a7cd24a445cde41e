//! The Markdown documents that commands print and write.

use std::path::Path;

use anyhow::{Context, Result};

/// Prints a document and writes it to a file, whose folder is created if it is missing.
pub fn publish(text: &str, output: &Path) -> Result<()> {
    println!("{text}");
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))?;
    println!("Written to {}", output.display());
    Ok(())
}
