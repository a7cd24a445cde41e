//! The Markdown files that commands print and write.

use std::path::Path;

use anyhow::{Context, Result};

/// Prints a document and writes it to a file, whose folder is made where it is missing.
///
/// # Errors
/// When the file cannot be written.
pub fn publish(text: &str, output: &Path) -> Result<()> {
    println!("{text}");
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))?;
    println!("Written to {}", output.display());
    Ok(())
}
