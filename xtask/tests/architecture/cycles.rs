//! No files of a crate import each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, files, product_lines};

const CRATES: [&str; 9] = [
    "src",
    "components/auth/src",
    "components/entries/src",
    "components/hashing/src",
    "components/sentiment/src",
    "components/system/src",
    "host/src",
    "testbed/src",
    "xtask/src",
];

/// File names by module paths; the path of the root is empty.
type Modules = BTreeMap<Vec<String>, String>;

/// Expands `a::{b, c::{d, e}}` to `a::b`, `a::c::d` and `a::c::e`.
fn expand(path: &str) -> Vec<String> {
    let Some((prefix, group)) = path.split_once('{') else {
        return vec![path.trim().to_owned()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut items) = (0_i32, vec![String::new()]);
    for letter in group.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match items.last_mut() {
            Some(item) if letter != ',' || depth > 0 => item.push(letter),
            _ => items.push(String::new()),
        }
    }
    // The last one is empty after a trailing comma.
    let items = items.iter().filter(|item| !item.trim().is_empty());
    let items = items.flat_map(|item| expand(item));
    items
        .map(|item| format!("{}{item}", prefix.trim()))
        .collect()
}

/// Returns all paths with `::` in the code of a file.
fn paths(source: &str) -> Vec<String> {
    let code: Vec<&str> = product_lines(source).map(|(_, line)| line).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for statement in code.split(';') {
        let start = statement
            .rfind("use ")
            .filter(|at| statement[*at..].contains("::"));
        let (before, import) = statement.split_at(start.unwrap_or(statement.len()));
        found.extend(expand(import.trim_start_matches("use ")));
        let words =
            before.split(|letter: char| !(letter.is_alphanumeric() || "_:".contains(letter)));
        found.extend(words.map(str::to_owned));
    }
    found.retain(|path| path.contains("::"));
    found
}

/// Returns the files that a file refers to by `crate::`, `super::` or the name of a child module.
fn imports<'a>(file: &str, source: &str, modules: &'a Modules) -> BTreeSet<&'a String> {
    let module = modules.iter().find(|(_, name)| *name == file);
    let module = module.map(|(module, _)| module.clone()).unwrap_or_default();
    let is_child = |name: &str| modules.contains_key(&[&*module, &[name.to_owned()]].concat());
    let target = |path: &String| {
        let mut parts = path.split("::").peekable();
        let mut base = module.clone();
        match *parts.peek()? {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            child if is_child(child) => {
                base.push(child.to_owned());
            }
            _ => return None,
        }
        // The longest prefix that is a file; what follows are items in it.
        let mut target = modules.get(&base);
        for part in parts.skip(1) {
            base.push(part.to_owned());
            target = modules.get(&base).or(target);
        }
        target
    };
    let targets = paths(source).iter().filter_map(target).collect::<Vec<_>>();
    targets
        .into_iter()
        .filter(|target| *target != file)
        .collect()
}

fn cycles(sources: &BTreeMap<String, String>, folder: &str) -> Vec<String> {
    let module = |file: &String| -> Vec<String> {
        let path = file.trim_start_matches(folder).trim_end_matches(".rs");
        let parts = path
            .split('/')
            .filter(|part| !["", "lib", "main"].contains(part));
        parts.map(str::to_owned).collect()
    };
    let modules: Modules = sources
        .keys()
        .map(|file| (module(file), file.clone()))
        .collect();
    let direct =
        |(file, source): (&'_ String, &String)| (file.clone(), imports(file, source, &modules));
    let mut reached: BTreeMap<String, BTreeSet<&String>> = sources.iter().map(direct).collect();
    // Adds what is reached over others, until nothing is added.
    loop {
        let mut next = reached.clone();
        for targets in next.values_mut() {
            let further = targets
                .iter()
                .filter_map(|target| reached.get(*target))
                .flatten();
            let further: Vec<&String> = further.copied().collect();
            targets.extend(further);
        }
        if next == reached {
            break;
        }
        reached = next;
    }
    let cyclic = reached
        .iter()
        .filter(|(file, targets)| targets.contains(file));
    let cycles: BTreeSet<Vec<&str>> = cyclic
        .map(|(file, targets)| {
            let members = targets
                .iter()
                .filter(|other| reached[**other].contains(file));
            members.map(|member| member.as_str()).collect()
        })
        .collect();
    cycles
        .iter()
        .map(|members| {
            let others = members[1..].join(", ");
            format!("{}:1: is in an import cycle with {others}: move what they share into a file of its own", members[0])
        })
        .collect()
}

#[test]
fn no_files_import_each_other() {
    let found = CRATES.iter().flat_map(|folder| {
        let sources = files(folder, ".rs");
        assert!(!sources.is_empty(), "{folder} has moved: change CRATES");
        cycles(&sources, folder)
    });
    assert_none(found.collect());
}

fn sources(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let files = files.iter();
    files
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn accepts_imports_in_one_direction() {
    let files = sources(&[
        ("s/lib.rs", "mod a;\nmod b;\nfn f() { a::run(); }"),
        (
            "s/a.rs",
            "use crate::{\n    b,\n    b::c::{D, E},\n};\n// crate::X",
        ),
        ("s/b.rs", "use std::fs;"),
        ("s/b/c.rs", "use super::X;"),
    ]);
    assert!(cycles(&files, "s").is_empty(), "{:?}", cycles(&files, "s"));
}

#[test]
fn finds_files_that_import_each_other() {
    let files = sources(&[
        ("s/lib.rs", "mod a;\nmod b;"),
        ("s/a.rs", "use crate::{\n    b::{X, Y},\n};"),
        ("s/b.rs", "fn f() -> super::a::Z {}"),
    ]);
    assert_eq!(
        cycles(&files, "s"),
        [
            "s/a.rs:1: is in an import cycle with s/b.rs: move what they share into a file of its own"
        ]
    );
    let with_root = sources(&[
        ("s/lib.rs", "mod a;\nuse a::X;"),
        ("s/a.rs", "use crate::Y;"),
    ]);
    assert_eq!(cycles(&with_root, "s").len(), 1);
}
