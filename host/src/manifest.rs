//! Reads `spin.toml`, version 2. Keys that the host does not implement are errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// An application manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    spin_manifest_version: u32,
    /// `[application]`.
    pub application: Application,
    /// `[variables]` by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]`.
    pub trigger: Triggers,
    /// `[component.<id>]` by id.
    #[serde(default)]
    pub component: BTreeMap<String, Component>,
}

/// `[application]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The application's name.
    pub name: String,
    /// The application's version.
    pub version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors")]
    _authors: Option<Vec<String>>,
}

/// An entry of `[variables]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The value where none is set.
    pub default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// The triggers by type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// `[[trigger.http]]` in the manifest's order.
    pub http: Vec<HttpTrigger>,
}

/// `[[trigger.http]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    /// Id of the component that answers.
    pub component: String,
    /// Where it answers.
    pub route: Route,
}

/// The route of a trigger.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a route must be a string or { private = true }")]
pub enum Route {
    /// A path, `:parameters` and `/...` included.
    Public(String),
    /// Reachable by other components only.
    Private {
        /// Always true; `false` is rejected.
        private: bool,
    },
}

/// `[component.<id>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Path of the `.wasm` file.
    pub source: PathBuf,
    /// Templates of the destinations that it may reach.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// Templates of its variables by name.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How to build `source`.
    pub build: Option<Build>,
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// `[component.<id>.build]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The command, for the message that `source` is missing.
    pub command: String,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(rename = "watch")]
    _watch: Option<Vec<String>>,
}

impl Manifest {
    /// Reads the manifest at `path`. The sources in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}", path.display()))?;
        let mut manifest = Self::parse(&text)
            .with_context(|| format!("cannot run the manifest {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for component in manifest.component.values_mut() {
            component.source = folder.join(&component.source);
        }
        Ok(manifest)
    }

    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        ensure!(
            manifest.spin_manifest_version == 2,
            "spin_manifest_version must be 2"
        );
        for (name, variable) in &manifest.variables {
            check_name(name)?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name} must have either `required = true` or a `default`"
            );
        }
        for trigger in &manifest.trigger.http {
            let id = &trigger.component;
            ensure!(
                manifest.component.contains_key(id),
                "[[trigger.http]] names component {id}, but there is no [component.{id}]"
            );
            ensure!(
                !matches!(trigger.route, Route::Private { private: false }),
                "the route of component {id} must be a string or {{ private = true }}"
            );
        }
        for name in manifest.component.values().flat_map(|c| c.variables.keys()) {
            check_name(name)?;
        }
        Ok(manifest)
    }
}

/// Checks the name of a variable by Spin's rules.
fn check_name(name: &str) -> Result<()> {
    let is_valid_word = |word: &str| {
        let mut characters = word.chars();
        !word.is_empty() && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(
        name.split('_').all(is_valid_word) && name.starts_with(|c: char| c.is_ascii_lowercase()),
        "variable {name:?} must be named in lowercase letters and digits, with single underscores between words"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"a\"\n";
    const TRIGGER: &str = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"one\"\n";
    const COMPONENT: &str = "[component.one]\nsource = \"one.wasm\"\n";

    fn error(text: &str) -> String {
        let error = Manifest::parse(&format!("{HEAD}{text}"));
        format!("{:#}", error.expect_err("the manifest is invalid"))
    }

    #[test]
    fn reads_the_manifest_of_the_http_template() {
        let manifest = Manifest::parse(
            r#"
            spin_manifest_version = 2

            [application]
            name = "hello"
            version = "0.1.0"
            authors = ["Ann <ann@example.com>"]
            description = ""

            [[trigger.http]]
            route = "/..."
            component = "hello"

            [component.hello]
            source = "target/wasm32-wasip2/release/hello.wasm"
            allowed_outbound_hosts = []
            [component.hello.build]
            command = "cargo build --target wasm32-wasip2 --release"
            watch = ["src/**/*.rs", "Cargo.toml"]
            "#,
        );
        let manifest = manifest.expect("the manifest is valid");
        assert_eq!(manifest.application.version.as_deref(), Some("0.1.0"));
        let hello = &manifest.component["hello"];
        assert_eq!(
            hello.source,
            Path::new("target/wasm32-wasip2/release/hello.wasm")
        );
    }

    #[test]
    fn rejects_what_the_host_does_not_implement_by_name() {
        let stores = error(&format!(
            "{TRIGGER}{COMPONENT}key_value_stores = [\"default\"]\n"
        ));
        assert!(
            stores.contains("unknown field `key_value_stores`"),
            "{stores}"
        );
        let redis = error(&format!("{TRIGGER}[[trigger.redis]]\nchannel = \"a\"\n"));
        assert!(redis.contains("unknown field `redis`"), "{redis}");
    }

    #[test]
    fn rejects_inconsistent_manifests() {
        let unknown = error(TRIGGER);
        assert!(unknown.contains("there is no [component.one]"), "{unknown}");
        let both = "[variables]\nkey = { required = true, default = \"\" }\n";
        let both = error(&format!("{both}{TRIGGER}{COMPONENT}"));
        assert!(both.contains("variable key must have either"), "{both}");
        let private = TRIGGER.replace("\"/\"", "{ private = false }");
        let private = error(&format!("{private}{COMPONENT}"));
        assert!(private.contains("{ private = true }"), "{private}");
    }

    #[test]
    fn checks_the_names_of_variables() {
        for name in ["a", "log_level", "a1_2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a-b", "_a", "a_", "a__b", "1a", "a.b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
