//! Application variables: where their values come from, `{{ templates }}`, and the interface `spin:variables`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use wasmtime::component::Accessor;

use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::instances::HostState;
use crate::manifest::{Variable, check_name};

/// The value of every application variable, fixed at start.
pub struct Variables(HashMap<String, String>);

impl Variables {
    /// Finds a value for every variable in `declared`: from `given` (the command line, then
    /// providers of the runtime configuration), then `SPIN_VARIABLE_<NAME>` in the environment,
    /// then the same name in `./.env`, then the default.
    ///
    /// Fails with the names of all required variables that have no value.
    pub fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &HashMap<String, String>,
    ) -> Result<Self> {
        let environment = Environment::new(Path::new(".env"))?;
        let mut values = HashMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            let value = match given.get(name) {
                Some(value) => Some(value.clone()),
                None => environment.get(name)?.or_else(|| variable.default.clone()),
            };
            match value {
                Some(value) => _ = values.insert(name.clone(), value),
                None => missing.push(name.as_str()),
            }
        }
        ensure!(
            missing.is_empty(),
            "no value for required variable(s) {}: set {} or pass --variable NAME=VALUE",
            missing.join(", "),
            missing
                .iter()
                .map(|name| environment_key(name))
                .collect::<Vec<_>>()
                .join(", ")
        );
        Ok(Self(values))
    }

    /// Replaces each `{{ name }}` in `template` by that variable's value.
    pub fn render(&self, template: &str) -> Result<String> {
        let mut rendered = String::new();
        let mut rest = template;
        while let Some((literal, expression)) = rest.split_once("{{") {
            let Some((name, after)) = expression.split_once("}}") else {
                bail!("unmatched '{{{{' in template {template:?}");
            };
            let name = name.trim();
            let value = self.0.get(name);
            rendered.push_str(literal);
            rendered.push_str(value.with_context(|| format!("unknown variable {name:?}"))?);
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }
}

/// `SPIN_VARIABLE_…` from the process's environment and, behind it, from a dotenv file.
struct Environment(HashMap<String, String>);

impl Environment {
    fn new(dotenv: &Path) -> Result<Self> {
        let mut file = HashMap::new();
        // Like Spin, no file is no error, and of a name given twice the last wins.
        for entry in dotenvy::from_path_iter(dotenv).into_iter().flatten() {
            let (key, value) =
                entry.with_context(|| format!("cannot read {}", dotenv.display()))?;
            file.insert(key, value);
        }
        Ok(Self(file))
    }

    fn get(&self, name: &str) -> Result<Option<String>> {
        let key = environment_key(name);
        match std::env::var(&key) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(self.0.get(&key).cloned()),
            Err(error) => Err(error).with_context(|| format!("environment variable {key}")),
        }
    }
}

fn environment_key(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

impl Host for HostState {}

impl<T: Send> HostWithStore<T> for HostState {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let component = accessor.with(|mut access| access.get().component.clone());
        check_name(&name).map_err(|error| Error::InvalidName(error.to_string()))?;
        let value = component.variables.get(&name).cloned();
        value
            .ok_or_else(|| Error::Undefined(format!("no variable for {:?}.{name:?}", component.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(values: &[(&str, &str)]) -> Variables {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Variables(values.iter().map(own).collect())
    }

    #[test]
    fn templates_are_filled_in() {
        let variables = variables(&[("host", "db"), ("port", "1")]);
        let render = |template| variables.render(template).expect("a right template");
        assert_eq!(render("postgres://{{ host }}:{{port}}"), "postgres://db:1");
        assert_eq!(render("plain"), "plain");
        assert!(variables.render("{{ unknown }}").is_err());
        assert!(variables.render("{{ host").is_err());
    }

    #[test]
    fn a_dotenv_file_is_read_behind_the_environment() {
        let file = std::env::temp_dir().join(format!("host-dotenv-{}", std::process::id()));
        std::fs::write(&file, "SPIN_VARIABLE_ONLY_IN_FILE='in # file'\n").expect("a temp file");
        let environment = Environment::new(&file).expect("a right file");
        std::fs::remove_file(&file).expect("the file is there");
        let value = environment.get("only_in_file").expect("a right value");
        assert_eq!(value.as_deref(), Some("in # file"));
        assert_eq!(environment.get("nowhere").expect("no error"), None);
    }
}
