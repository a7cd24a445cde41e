//! Reads `spin.toml` (manifest version 2) as far as an HTTP application needs it, and refuses the rest.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A checked application manifest.
#[derive(Debug)]
pub struct Manifest {
    /// `[application] name`.
    pub name: String,
    /// `[application] version`, where it is given.
    pub version: Option<String>,
    /// `[variables]` by name.
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]` in the manifest's order.
    pub triggers: Vec<Trigger>,
    /// `[component.<id>]`, only those that a trigger names.
    pub components: Vec<Component>,
}

/// One `[variables]` entry: it has either a default or a value from outside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The value when none is given; none means that the variable is required.
    pub default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// One `[[trigger.http]]` entry.
#[derive(Debug)]
pub struct Trigger {
    /// The component that answers.
    pub component: String,
    /// Where it answers; none for a private route.
    pub route: Option<String>,
}

/// One `[component.<id>]` entry.
#[derive(Debug)]
pub struct Component {
    /// The component's id.
    pub id: String,
    /// Absolute path of the `.wasm` file.
    pub source: PathBuf,
    /// What `[component.<id>.build] command` says, for the advice when the file is missing.
    pub build: Option<String>,
    /// Patterns, possibly with `{{ variable }}` in them.
    pub allowed_outbound_hosts: Vec<String>,
    /// `[component.<id>.variables]`: templates by name.
    pub variables: BTreeMap<String, String>,
    /// Environment variables of the component.
    pub environment: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    spin_manifest_version: u32,
    application: Application,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: BTreeMap<String, Vec<TriggerToml>>,
    #[serde(default)]
    component: BTreeMap<String, ComponentToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    name: String,
    version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors")]
    _authors: Option<Vec<String>>,
    #[serde(rename = "targets")]
    _targets: Option<toml::Value>,
    #[serde(rename = "trigger")]
    _trigger: Option<toml::Table>,
    #[serde(rename = "tool")]
    _tool: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerToml {
    #[serde(rename = "id")]
    _id: Option<String>,
    component: String,
    route: Route,
    executor: Option<Executor>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Route {
    Public(String),
    Private(Private),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Executor {
    #[serde(rename = "type")]
    kind: String,
}

/// Keys without a field here (`files`, `key_value_stores`, …) give a component something that this
/// host does not have, so they are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentToml {
    source: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    build: Option<Build>,
    #[serde(rename = "targets")]
    _targets: Option<toml::Value>,
    #[serde(rename = "tool")]
    _tool: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    command: Command,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(rename = "watch")]
    _watch: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Command {
    One(String),
    Many(Vec<String>),
}

impl Manifest {
    /// Reads the manifest at `path`; sources are relative to its folder.
    ///
    /// Errors name the key at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let folder = std::path::absolute(path)?;
        let folder = folder.parent().context("a manifest lies in a folder")?;
        Self::parse(&text, folder).with_context(|| format!("{shown} cannot be run"))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self> {
        let toml: Toml = toml::from_str(text).map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(
            toml.spin_manifest_version == 2,
            "spin_manifest_version must be 2"
        );
        for (name, variable) in &toml.variables {
            check_name(name)?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name} must be `required` or have a `default`, and not both"
            );
        }
        let triggers = triggers(toml.trigger)?;
        let used: HashSet<&str> = triggers.iter().map(|t| t.component.as_str()).collect();
        for id in &used {
            ensure!(
                toml.component.contains_key(*id),
                "a trigger names component {id}, which is not defined"
            );
        }
        let components = toml
            .component
            .into_iter()
            .filter(|(id, _)| used.contains(id.as_str()))
            .map(|(id, component)| component.check(id, folder))
            .collect::<Result<_>>()?;
        Ok(Self {
            name: toml.application.name,
            version: toml.application.version.filter(|v| !v.is_empty()),
            variables: toml.variables,
            triggers,
            components,
        })
    }
}

fn triggers(by_type: BTreeMap<String, Vec<TriggerToml>>) -> Result<Vec<Trigger>> {
    let mut triggers = Vec::new();
    for (kind, entries) in by_type {
        ensure!(
            kind == "http",
            "trigger type {kind} is not supported by this host, only http is"
        );
        for entry in entries {
            triggers.push(entry.check()?);
        }
    }
    Ok(triggers)
}

impl TriggerToml {
    fn check(self) -> Result<Trigger> {
        let component = self.component;
        if let Some(executor) = self.executor {
            ensure!(
                matches!(executor.kind.as_str(), "http" | "spin"),
                "executor {} of component {component} is not supported by this host",
                executor.kind
            );
        }
        let route = match self.route {
            Route::Public(route) => Some(route),
            Route::Private(Private { private: true }) => None,
            Route::Private(_) => {
                bail!("route of component {component} must be a string or `{{ private = true }}`")
            }
        };
        Ok(Trigger { component, route })
    }
}

impl ComponentToml {
    fn check(self, id: String, folder: &Path) -> Result<Component> {
        for name in self.variables.keys() {
            check_name(name).with_context(|| format!("component {id}"))?;
        }
        Ok(Component {
            source: folder.join(self.source),
            build: self.build.map(|build| match build.command {
                Command::One(command) => command,
                Command::Many(commands) => commands.join(" && "),
            }),
            allowed_outbound_hosts: self.allowed_outbound_hosts,
            variables: self.variables,
            environment: self.environment,
            id,
        })
    }
}

/// Checks a variable's name as Spin does; the error says what is wrong with it.
pub fn check_name(name: &str) -> Result<()> {
    let odd = name
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_'));
    if name.is_empty() {
        bail!("{name:?}: must not be empty");
    }
    if let Some(odd) = odd {
        bail!(
            "{name:?}: invalid character {odd:?}. Variable names may contain only lower-case letters, numbers, and underscores."
        );
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        bail!("{name:?}: must start with a lowercase ASCII letter");
    }
    if name.ends_with('_') {
        bail!("{name:?}: must end with a lowercase ASCII letter or digit");
    }
    if name.contains("__") {
        bail!("{name:?}: must not contain multiple consecutive underscores");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"a\"\n";

    fn error(text: &str) -> String {
        let error = Manifest::parse(&format!("{HEAD}{text}"), Path::new("/app"));
        format!("{:#}", error.expect_err("the manifest is wrong"))
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let text = format!(
            "{HEAD}version = \"1.2\"\n[variables]\nkey = {{ required = true, secret = true }}\nhost = {{ default = \"x\" }}\n\
             [[trigger.http]]\nroute = \"/a/...\"\ncomponent = \"one\"\n\
             [[trigger.http]]\nroute = {{ private = true }}\ncomponent = \"two\"\n\
             [component.one]\nsource = \"one.wasm\"\nallowed_outbound_hosts = [\"http://{{{{ host }}}}\"]\n\
             [component.one.variables]\nkey = \"{{{{ key }}}}\"\n\
             [component.one.build]\ncommand = [\"a\", \"b\"]\n\
             [component.two]\nsource = \"two.wasm\"\nenvironment = {{ LEVEL = \"9\" }}\n\
             [component.unused]\nsource = \"unused.wasm\"\n"
        );
        let manifest = Manifest::parse(&text, Path::new("/app")).expect("the manifest is right");
        assert_eq!(manifest.version.as_deref(), Some("1.2"));
        assert_eq!(manifest.triggers[0].route.as_deref(), Some("/a/..."));
        assert_eq!(manifest.triggers[1].route, None);
        let [one, two] = &manifest.components[..] else {
            panic!("two components are used: {:?}", manifest.components);
        };
        assert_eq!(one.source, Path::new("/app/one.wasm"));
        assert_eq!(one.build.as_deref(), Some("a && b"));
        assert_eq!(two.environment["LEVEL"], "9");
    }

    #[test]
    fn what_the_host_does_not_have_is_refused_by_name() {
        let trigger = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"one\"\n";
        let component = "[component.one]\nsource = \"one.wasm\"\n";
        let stores = error(&format!(
            "{trigger}{component}key_value_stores = [\"default\"]\n"
        ));
        assert!(stores.contains("key_value_stores"), "{stores}");
        let redis = error(&format!(
            "[[trigger.redis]]\nroute = \"/\"\ncomponent = \"one\"\n{component}"
        ));
        assert!(redis.contains("trigger type redis"), "{redis}");
        let unknown = error(trigger);
        assert!(unknown.contains("component one"), "{unknown}");
        let both = error(&format!(
            "[variables]\nkey = {{ required = true, default = \"\" }}\n{trigger}{component}"
        ));
        assert!(both.contains("variable key"), "{both}");
    }
}
