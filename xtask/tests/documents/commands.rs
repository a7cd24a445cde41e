//! `cargo xtask …` in documents, checked against the `--help` of each command.

use std::collections::BTreeMap;
use std::process::Command;

/// What the `--help` of a command lists.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    pub subcommands: Vec<String>,
    /// With their leading hyphens.
    pub options: Vec<String>,
    pub has_arguments: bool,
}

impl Accepted {
    pub fn parse(help: &str) -> Self {
        let mut accepted = Self::default();
        let mut section = "";
        for line in help.lines() {
            match line {
                "Commands:" | "Options:" | "Arguments:" => section = line,
                _ if !line.starts_with(' ') && !line.is_empty() => section = "",
                _ => {}
            }
            let word = line.split_whitespace().next().unwrap_or_default();
            let is_entry = line.starts_with("  ") && !line.starts_with("   ");
            match section {
                "Commands:" if is_entry => accepted.subcommands.push(word.to_owned()),
                "Arguments:" if is_entry => accepted.has_arguments = true,
                "Options:" if line.trim_start().starts_with('-') => {
                    let names = line
                        .split([' ', ',', '='])
                        .filter(|word| word.starts_with('-'));
                    accepted.options.extend(names.map(str::to_owned));
                }
                _ => {}
            }
        }
        accepted
    }
}

/// The `--help` of the commands, asked for once each.
#[derive(Default)]
pub struct Help(BTreeMap<Vec<String>, Accepted>);

impl Help {
    pub fn of(&mut self, path: &[String]) -> Accepted {
        let ask = || {
            let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
                .args(path)
                .arg("--help")
                .output();
            let output = output.expect("xtask can be started");
            assert!(output.status.success(), "xtask {path:?} --help failed");
            Accepted::parse(&String::from_utf8_lossy(&output.stdout))
        };
        self.0.entry(path.to_vec()).or_insert_with(ask).clone()
    }
}

/// Returns the words after each `cargo xtask`, with the numbers of their lines. A call ends with the line, a code
/// span, a comment or a pipe; `...` and what follows it is not a part of it.
pub fn calls(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, start) in line.match_indices("cargo xtask") {
            let rest = &line[at + start.len()..];
            let is_call = rest.is_empty() || rest.starts_with([' ', '`']);
            let end = rest
                .find(['`', '|', '#', '<', ';', '&', '(', '"'])
                .unwrap_or(rest.len());
            let is_code_span = rest[end..].starts_with('`');
            let words = rest[..end]
                .split_whitespace()
                .take_while(|word| *word != "...");
            let mut words: Vec<String> = words.map(str::to_owned).collect();
            // Prose goes on after a command that is not in a code span; two blanks separate an explanation.
            if !is_code_span && let Some((command, _)) = rest[..end].trim_start().split_once("  ") {
                words = command.split_whitespace().map(str::to_owned).collect();
            }
            if is_call {
                found.push((index + 1, words));
            }
        }
    }
    found
}

/// Returns what is wrong with a call, if something is.
pub fn problem(
    words: &[String],
    accepted: &mut impl FnMut(&[String]) -> Accepted,
) -> Option<String> {
    let mut path: Vec<String> = Vec::new();
    let mut current = accepted(&path);
    let mut after_option = false;
    for word in words {
        let name = || format!("`cargo xtask {}`", path.join(" ")).replace(" `", "`");
        if word.starts_with('-') {
            let option = word.split('=').next().unwrap_or_default();
            let option = option.trim_end_matches([',', '.', ':']);
            if !current.options.iter().any(|known| known == option) {
                return Some(format!("{} has no option {option}: see its --help", name()));
            }
            after_option = true;
        } else if current.subcommands.contains(word) {
            path.push(word.clone());
            current = accepted(&path);
            after_option = false;
        } else if after_option || current.has_arguments {
            after_option = false;
        } else {
            return Some(format!(
                "{} has no command and no argument {word}: see its --help",
                name()
            ));
        }
    }
    None
}

#[test]
fn reads_the_help_of_a_command() {
    let help = "Do it\n\nUsage: cargo xtask do [OPTIONS] [FILE]\n\nCommands:\n  one  Does\n  two\n\nArguments:\n  [FILE]\n          A file\n\n\
        Options:\n      --keep <N>\n          Number of --nothing\n\n  -h, --help\n          Print help\n";
    let accepted = Accepted::parse(help);
    assert_eq!(accepted.subcommands, ["one", "two"]);
    assert_eq!(accepted.options, ["--keep", "-h", "--help"]);
    assert!(accepted.has_arguments);
}

#[test]
fn finds_the_calls_in_a_text() {
    let text = "Run `cargo xtask up --listen X` or `cargo xtask`.\n    cargo xtask test a   # only a\n  cargo xtask eval      it measures";
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        calls(text),
        [
            (1, words(&["up", "--listen", "X"])),
            (1, words(&[])),
            (2, words(&["test", "a"])),
            (3, words(&["eval"])),
        ]
    );
}

#[test]
fn finds_commands_and_options_that_do_not_exist() {
    let mut accepted = |path: &[String]| {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match path {
            [] => Accepted {
                subcommands: list(&["up", "migrate"]),
                options: list(&["--help"]),
                has_arguments: false,
            },
            [command] if command == "migrate" => Accepted {
                subcommands: list(&["down"]),
                ..Accepted::default()
            },
            _ => Accepted {
                options: list(&["--steps"]),
                ..Accepted::default()
            },
        }
    };
    let mut check = |call: &str| {
        let words: Vec<String> = call.split(' ').map(str::to_owned).collect();
        problem(&words, &mut accepted)
    };
    assert_eq!(check("migrate down --steps 2"), None);
    assert_eq!(check("--help"), None);
    for (call, expected) in [
        (
            "start",
            "`cargo xtask` has no command and no argument start: see its --help",
        ),
        (
            "migrate downn",
            "`cargo xtask migrate` has no command and no argument downn: see its --help",
        ),
        (
            "up --port 1",
            "`cargo xtask up` has no option --port: see its --help",
        ),
        (
            "migrate down 2",
            "`cargo xtask migrate down` has no command and no argument 2: see its --help",
        ),
    ] {
        assert_eq!(check(call).as_deref(), Some(expected));
    }
}
