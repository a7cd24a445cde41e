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

/// Replaces the text between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
///
/// # Errors
/// When one of them is missing.
pub fn with_section(text: &str, name: &str, section: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|end| format!("<!-- {name}:{end} -->\n"));
    let replaced = || {
        let (before, rest) = text.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some([before, &begin, section, &end, after].concat())
    };
    replaced().with_context(|| {
        format!(
            "the document needs the lines {} and {}",
            begin.trim(),
            end.trim()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_section() {
        let old = "Before\n<!-- a:begin -->\nold\n<!-- a:end -->\nAfter\n";
        let new = "Before\n<!-- a:begin -->\nnew\n<!-- a:end -->\nAfter\n";
        assert_eq!(with_section(old, "a", "new\n").unwrap(), new);
        assert_eq!(
            with_section(old, "b", "").unwrap_err().to_string(),
            "the document needs the lines <!-- b:begin --> and <!-- b:end -->"
        );
    }
}
