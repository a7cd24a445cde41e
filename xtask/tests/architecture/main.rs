//! Checks the rules in ARCHITECTURE.md that a program can check. Each finding names file, line and remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod cycles;
mod ingress;
mod monitoring;
mod promql;
mod sql;

/// Lines of a file at most.
const LONGEST_FILE: usize = 400;
/// Files that may be longer, with the reason.
const LONG_FILES: [(&str, &str); 0] = [];
/// Guest files that name failure statuses for another reason than to respond with them.
const STATUS_READERS: [(&str, &str); 2] = [
    (
        "components/sentiment/",
        "it interprets the statuses of the model's server",
    ),
    (
        "components/entries/src/sentiment.rs",
        "it interprets the statuses of the component sentiment",
    ),
];
/// Routes that need no description in openapi.json: the document itself and its page.
const DOCUMENT_ROUTES: [&str; 4] = ["/openapi.json", "/docs", "/docs/", "/docs/{file}"];

fn root() -> &'static Path {
    testbed::workspace()
}

/// Returns all files below `folder` whose names end so, by their paths relative to the root.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let relative = path.strip_prefix(root()).unwrap_or(&path);
                found.insert(relative.display().to_string(), text);
            }
        }
    }
    found
}

/// Returns the sources of the shared crate and the components.
fn guest_sources() -> BTreeMap<String, String> {
    let mut sources = files("src", ".rs");
    sources.extend(files("components", ".rs"));
    assert!(sources.len() > 20, "the guest sources have moved");
    sources
}

#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn failure_statuses(path: &str, source: &str) -> Vec<String> {
    let is_reader = STATUS_READERS
        .iter()
        .any(|(prefix, _)| path.starts_with(prefix));
    if path == "src/error.rs" || is_reader {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in product_lines(source) {
        for (_, after) in line
            .match_indices("StatusCode::")
            .map(|(at, text)| line.split_at(at + text.len()))
        {
            let name: String = after
                .chars()
                .take_while(|letter| letter.is_ascii_uppercase() || *letter == '_')
                .collect();
            let is_failure = (400..600).any(|code| {
                let status = http::StatusCode::from_u16(code).ok();
                let reason = status.and_then(|status| status.canonical_reason());
                reason.is_some_and(|reason| reason.to_uppercase().replace([' ', '-'], "_") == name)
            });
            if is_failure {
                found.push(format!("{path}:{number}: failure status {name}: return a variant of Error, whose status is in src/error.rs"));
            }
        }
    }
    found
}

/// Returns the numbered lines before the test module, without comments.
fn product_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines().take_while(|line| *line != "#[cfg(test)]");
    let lines = lines.enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn failure_statuses_are_in_error_rs_only() {
    let sources = guest_sources();
    assert_none(
        sources
            .iter()
            .flat_map(|(path, source)| failure_statuses(path, source))
            .collect(),
    );
}

#[test]
fn finds_failure_statuses_outside_error_rs() {
    let source = "StatusCode::OK;\n// StatusCode::NOT_FOUND\nStatusCode::SERVICE_UNAVAILABLE;\n#[cfg(test)]\nStatusCode::NOT_FOUND";
    assert_eq!(
        failure_statuses("components/system/src/ready.rs", source),
        [
            "components/system/src/ready.rs:3: failure status SERVICE_UNAVAILABLE: return a variant of Error, whose status is in src/error.rs"
        ]
    );
}

#[test]
fn every_setting_is_documented() {
    let command = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["generate", "--check"])
        .output();
    let output = command.expect("xtask can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manifest = fs::read_to_string(root().join("spin.toml")).expect("spin.toml");
    let variables = testbed::settings::variables().expect("spin.toml has a table of settings");
    assert_none(undocumented_settings(&variables, &manifest));
}

fn undocumented_settings(variables: &[testbed::settings::Variable], manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    for variable in variables {
        let name = &variable.name;
        let line = 1 + manifest
            .lines()
            .position(|line| line.starts_with(&format!("{name} = ")))
            .unwrap_or(0);
        if variable.description.is_empty() {
            found.push(format!(
                "spin.toml:{line}: {name} has no description: add one"
            ));
        }
        if variable.required == variable.default.is_some() {
            found.push(format!(
                "spin.toml:{line}: {name} must be either required or have a default"
            ));
        }
        if !manifest.contains(&format!("{{{{ {name} }}}}")) {
            found.push(format!(
                "spin.toml:{line}: no component uses {name}: remove it"
            ));
        }
    }
    found
}

#[test]
fn finds_settings_without_description_default_or_use() {
    let variable = testbed::settings::Variable {
        name: "mood".into(),
        ..Default::default()
    };
    let manifest = "[variables]\nmood = { }\n";
    assert_eq!(
        undocumented_settings(&[variable], manifest),
        [
            "spin.toml:2: mood has no description: add one",
            "spin.toml:2: mood must be either required or have a default",
            "spin.toml:2: no component uses mood: remove it",
        ]
    );
}

/// Returns method, path and line of the lines `GET "/path" => …` in a route table.
fn routes(source: &str) -> Vec<(String, String, usize)> {
    let route = |(number, line): (usize, &str)| {
        let (method, rest) = line.trim_start().split_once(" \"")?;
        let (path, rest) = rest.split_once('"')?;
        let is_route = ["GET", "POST", "PUT", "DELETE"].contains(&method)
            && path.starts_with('/')
            && rest.trim_start().starts_with("=>");
        is_route.then(|| (method.to_owned(), path.to_owned(), number))
    };
    product_lines(source).filter_map(route).collect()
}

fn undocumented_routes(path: &str, source: &str, document: &Value) -> Vec<String> {
    let routes = routes(source).into_iter();
    routes
        .filter(|(_, route, _)| !DOCUMENT_ROUTES.contains(&&**route))
        .filter(|(method, route, _)| document["paths"][route][method.to_lowercase()].is_null())
        .map(|(method, route, line)| {
            format!("{path}:{line}: {method} {route} is not in components/system/openapi.json: describe it there")
        })
        .collect()
}

#[test]
fn every_route_is_in_the_api_document_and_every_documented_call_has_a_route() {
    let document =
        fs::read_to_string(root().join("components/system/openapi.json")).expect("openapi.json");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let (mut found, mut all) = (Vec::new(), BTreeSet::new());
    // `sentiment` is private.
    for component in ["auth", "entries", "system"] {
        let path = format!("components/{component}/src/lib.rs");
        let source = fs::read_to_string(root().join(&path)).expect("a component has a lib.rs");
        if routes(&source).is_empty() {
            found.push(format!(
                "{path}:1: no line is `GET \"/path\" => handler`: write the route table so"
            ));
        }
        found.extend(undocumented_routes(&path, &source, &document));
        all.extend(
            routes(&source)
                .into_iter()
                .map(|(method, path, _)| (method.to_lowercase(), path)),
        );
    }
    for (path, calls) in document["paths"].as_object().into_iter().flatten() {
        for (method, _) in calls.as_object().into_iter().flatten() {
            let is_call = ["get", "post", "put", "delete"].contains(&&**method)
                && !DOCUMENT_ROUTES.contains(&&**path);
            if is_call && !all.contains(&(method.clone(), path.clone())) {
                found.push(format!("components/system/openapi.json:1: {method} {path} has no route: remove it or add the route"));
            }
        }
    }
    assert_none(found);
}

#[test]
fn finds_routes_that_are_not_documented() {
    let source = "component! {\n    GET \"/diaries\" => handlers::list,\n    PUT \"/diaries/{id}\" => handlers::update,\n    GET \"/docs\" => docs::page,\n}";
    let document = serde_json::json!({ "paths": { "/diaries": { "get": {} } } });
    assert_eq!(
        undocumented_routes("lib.rs", source, &document),
        ["lib.rs:3: PUT /diaries/{id} is not in components/system/openapi.json: describe it there"]
    );
}

fn long_files(files: &BTreeMap<String, String>) -> Vec<String> {
    let too_long = files.iter().filter(|(path, text)| {
        text.lines().count() > LONGEST_FILE && !LONG_FILES.iter().any(|(long, _)| long == path)
    });
    too_long
        .map(|(path, text)| {
            let lines = text.lines().count();
            format!("{path}:{LONGEST_FILE}: {lines} lines, {LONGEST_FILE} are allowed: split it, or name it with a reason in LONG_FILES")
        })
        .collect()
}

#[test]
fn no_file_is_longer_than_400_lines() {
    assert_none(
        [".rs", ".sql", ".md"]
            .into_iter()
            .flat_map(|ending| long_files(&files("", ending)))
            .collect(),
    );
}

#[test]
fn finds_files_of_401_lines() {
    let files = |lines: usize| [("a.rs".to_owned(), "x\n".repeat(lines))].into();
    assert!(long_files(&files(400)).is_empty());
    assert_eq!(long_files(&files(401)).len(), 1);
}

/// Returns findings for dependencies on components, which others reach over HTTP only.
fn component_dependencies(path: &str, manifest: &str) -> Vec<String> {
    let components = ["auth", "entries", "hashing", "sentiment", "system"];
    let name = |line: &str| {
        line.split(['.', ' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let lines = manifest.lines().enumerate();
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for (index, line) in lines {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && components.contains(&&*name(line)) {
            let (number, name) = (index + 1, name(line));
            found.push(format!("{path}:{number}: depends on the component {name}: call it over HTTP, or move what both need to src/"));
        }
    }
    found
}

#[test]
fn no_crate_depends_on_a_component() {
    let mut manifests = files("", "Cargo.toml");
    manifests.remove("Cargo.toml");
    assert_none(
        manifests
            .iter()
            .flat_map(|(path, text)| component_dependencies(path, text))
            .collect(),
    );
}

#[test]
fn finds_dependencies_on_components() {
    let manifest = "[package]\nname = \"host\"\n[dependencies]\nauth.workspace = true\nhttp.workspace = true\n";
    assert_eq!(
        component_dependencies("host/Cargo.toml", manifest),
        [
            "host/Cargo.toml:4: depends on the component auth: call it over HTTP, or move what both need to src/"
        ]
    );
}

#[test]
fn versions_are_equal() {
    let read =
        |name: &str| fs::read_to_string(root().join(PathBuf::from(name))).expect("it exists");
    let toml = |name: &str| -> toml::Table { toml::from_str(&read(name)).expect("TOML") };
    let document: Value =
        serde_json::from_str(&read("components/system/openapi.json")).expect("JSON");
    let version = env!("CARGO_PKG_VERSION");
    let remedy = "write the version in Cargo.toml, [workspace.package], there";
    assert_eq!(
        toml("spin.toml")["application"]["version"].as_str(),
        Some(version),
        "spin.toml: {remedy}"
    );
    assert_eq!(
        document["info"]["version"], version,
        "components/system/openapi.json: {remedy}"
    );
}
