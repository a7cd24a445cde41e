//! `cargo xtask generate`: writes what is derived from the table of settings in `spin.toml`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use testbed::settings::{self, Variable};

use crate::document;

/// Name of the table in README.md.
const SECTION: &str = "settings";
/// Columns of a comment in `.env.example`.
const WIDTH: usize = 100;

const DOTENV_HEAD: &str = "\
# Settings of Thought Diary. Written by `cargo xtask generate` from the table in spin.toml.
# Copy to `.env` and uncomment what you need; the environment takes precedence over the file.
# Values with blanks or # need quotes. `cargo xtask up` needs none of them; `spin up` needs the required ones.
";

/// Write the settings table of README.md and .env.example from spin.toml
///
/// Run it after a change to [variables] in spin.toml. A test fails while the files are outdated.
///
/// Examples:
///   cargo xtask generate
///   cargo xtask generate --check
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Write nothing, and fail if a file is outdated
    #[arg(long)]
    check: bool,
}

pub fn run(arguments: &Args) -> Result<()> {
    for (path, text) in generated()? {
        let old = fs::read_to_string(&path).unwrap_or_default();
        if old == text {
            continue;
        }
        if arguments.check {
            bail!("{} is outdated: run `cargo xtask generate`", path.display());
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("Wrote {}", path.display());
    }
    Ok(())
}

/// Returns the files with their new text.
fn generated() -> Result<[(PathBuf, String); 2]> {
    let variables = settings::variables()?;
    let readme = testbed::workspace().join("README.md");
    let text = fs::read_to_string(&readme).context("cannot read README.md")?;
    let text = document::with_section(&text, SECTION, &table(&variables)).context("README.md")?;
    let dotenv = testbed::workspace().join(".env.example");
    Ok([(readme, text), (dotenv, dotenv_example(&variables))])
}

fn table(variables: &[Variable]) -> String {
    let mut table = "| setting | default | |\n|---|---|---|\n".to_owned();
    for Variable {
        name,
        description,
        default,
        ..
    } in variables
    {
        let default = match default.as_deref() {
            None => "required".to_owned(),
            Some("") => "empty".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let description = description.replace('|', "\\|");
        table += &format!("| `{name}` | {default} | {description} |\n");
    }
    table
}

fn dotenv_example(variables: &[Variable]) -> String {
    let mut text = DOTENV_HEAD.to_owned();
    for variable in variables {
        let required = if variable.required { "Required. " } else { "" };
        text += &format!(
            "\n{}",
            comment(&format!("{required}{}", variable.description))
        );
        let default = variable.default.as_deref().unwrap_or_default();
        text += &format!("#{}={default}\n", variable.environment_name());
    }
    text
}

/// Breaks a text into comment lines.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_ascii_whitespace() {
        let line = lines
            .last_mut()
            .filter(|line| line.len() + word.len() < WIDTH);
        match line {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, default: Option<&str>) -> Variable {
        Variable {
            name: name.to_owned(),
            description: "One | two.".to_owned(),
            default: default.map(str::to_owned),
            required: default.is_none(),
            secret: false,
        }
    }

    #[test]
    fn writes_a_table_of_the_settings() {
        let variables = [
            variable("a_url", None),
            variable("b", Some("")),
            variable("c", Some("3/1h")),
        ];
        assert_eq!(
            table(&variables),
            "| setting | default | |\n|---|---|---|\n\
             | `a_url` | required | One \\| two. |\n\
             | `b` | empty | One \\| two. |\n\
             | `c` | `3/1h` | One \\| two. |\n"
        );
    }

    #[test]
    fn writes_each_setting_as_a_comment() {
        let text = dotenv_example(&[variable("a_url", None), variable("c", Some("3/1h"))]);
        assert_eq!(
            text.strip_prefix(DOTENV_HEAD).unwrap(),
            "\n# Required. One | two.\n#SPIN_VARIABLE_A_URL=\n\n# One | two.\n#SPIN_VARIABLE_C=3/1h\n"
        );
    }

    #[test]
    fn breaks_long_comments_between_words() {
        let text = comment(&"word ".repeat(30));
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }
}
