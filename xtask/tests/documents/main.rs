//! Checks that what the documents name exists: files, headings, commands with their options, and settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

mod commands;
mod markdown;
mod messages;
mod names;
mod tests;

/// A text that people read, by its path relative to the root.
type Documents = BTreeMap<String, String>;

fn root() -> &'static Path {
    testbed::workspace()
}

/// Returns the files below a folder, or a file, whose names end so.
fn files(path: &str, endings: &[&str]) -> Documents {
    let mut found = Documents::new();
    let mut pending = vec![root().join(path)];
    while let Some(path) = pending.pop() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" {
            pending.extend(
                fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            let text = fs::read_to_string(&path).expect("it is a text");
            found.insert(relative.display().to_string(), text);
        }
    }
    found
}

/// Returns the Markdown documents.
fn documents() -> Documents {
    let mut documents = files("docs", &[".md"]);
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ] {
        documents.extend(files(name, &[".md"]));
    }
    assert!(documents.len() > 10, "the documents have moved");
    documents
}

/// Returns what operators read besides: the comments of the deployments and of the settings.
fn deployments() -> Documents {
    let mut documents = files("deploy", &[""]);
    documents.extend(files("spin.toml", &[""]));
    documents.extend(files(".env.example", &[""]));
    documents.extend(files("runtime-config.toml", &[""]));
    documents
}

fn everything() -> Documents {
    let mut all = documents();
    all.extend(deployments());
    all
}

#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Resolves a path that a document names relative to its own folder, without the file system.
fn resolve(document: &str, target: &str) -> PathBuf {
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    let mut resolved = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            part => resolved.push(part),
        }
    }
    resolved
}

/// Returns a finding for every link whose file or heading does not exist.
fn broken_links(documents: &Documents, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in documents {
        for (line, target) in markdown::links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match file {
                "" => PathBuf::from(path),
                file => resolve(path, file),
            };
            let name = file.display().to_string();
            let problem = match documents.get(&name) {
                _ if !exists(&file) => Some(format!("{name} does not exist")),
                Some(text) if !anchor.is_empty() && !markdown::anchors(text).contains(anchor) => {
                    Some(format!("{name} has no heading for #{anchor}"))
                }
                None if !anchor.is_empty() => Some(format!("{name} has no headings")),
                _ => None,
            };
            found.extend(
                problem.map(|problem| format!("{path}:{line}: {problem}: correct the link")),
            );
        }
    }
    found
}

#[test]
fn every_link_leads_somewhere() {
    assert_none(broken_links(&documents(), |file| {
        root().join(file).exists()
    }));
}

#[test]
fn finds_links_that_lead_nowhere() {
    let text = "# One\n[a](b.md#two-words) [c](../c.md)\n```\n[no](link)\n```\n[d](#one) [e](#none) [f](https://x.example/#y)\n";
    let documents = Documents::from([
        ("docs/a.md".to_owned(), text.to_owned()),
        ("docs/b.md".to_owned(), "## Two `words`\n".to_owned()),
    ]);
    let exists = |file: &Path| file.starts_with("docs");
    assert_eq!(
        broken_links(&documents, exists),
        [
            "docs/a.md:2: c.md does not exist: correct the link",
            "docs/a.md:6: docs/a.md has no heading for #none: correct the link",
        ]
    );
}

#[test]
fn every_command_exists() {
    let mut help = commands::Help::default();
    let mut found = Vec::new();
    let mut count = 0;
    for (path, text) in everything() {
        for (line, words) in commands::calls(&text) {
            count += 1;
            let problem = commands::problem(&words, &mut |path: &[String]| help.of(path));
            found.extend(problem.map(|problem| format!("{path}:{line}: {problem}")));
        }
    }
    assert!(
        count > 50,
        "{count} commands were found, fewer than the documents name"
    );
    assert_none(found);
}

#[test]
fn every_setting_exists() {
    let variables = testbed::settings::variables().expect("spin.toml has a table of settings");
    let settings: BTreeSet<String> = variables
        .into_iter()
        .map(|variable| variable.name)
        .collect();
    let mut found = Vec::new();
    for (path, text) in everything() {
        let is_markdown = path.ends_with(".md");
        for (line, name) in names::settings(&text, is_markdown, &settings) {
            if !settings.contains(&name) {
                found.push(format!(
                    "{path}:{line}: spin.toml has no setting {name}: correct its name"
                ));
            }
        }
    }
    assert_none(found);
}

#[test]
fn every_named_file_exists() {
    let mut found = Vec::new();
    for (path, text) in everything() {
        for (line, file) in names::paths(&text) {
            // Files of a deployment may name others relative to a folder above them.
            let mut folders = Path::new(&path).ancestors().skip(1);
            if !names::CREATED.contains(&&*file)
                && !folders.any(|folder| root().join(folder).join(&file).exists())
            {
                found.push(format!(
                    "{path}:{line}: {file} does not exist: correct its name"
                ));
            }
        }
    }
    assert_none(found);
}

#[test]
fn every_named_test_exists() {
    let mut found = Vec::new();
    let mut count = 0;
    for (path, text) in documents() {
        for (line, file, function) in tests::named_tests(&text) {
            count += 1;
            // The end-to-end tests are named relative to their folder.
            let source = [root().join("tests").join(&file), root().join(&file)]
                .iter()
                .find_map(|file| fs::read_to_string(file).ok());
            let is_there = |source: String| source.contains(&format!("fn {function}("));
            if !source.is_some_and(is_there) {
                found.push(format!(
                    "{path}:{line}: there is no test {function} in {file}: correct its name"
                ));
            }
        }
    }
    assert!(
        count > 100,
        "{count} tests were found, fewer than docs/security.md names"
    );
    assert_none(found);
}
