//! Values of the application's variables, and the `{{ templates }}` that use them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::manifest::Variable;

/// The value of every application variable, fixed at start.
pub struct Resolver(HashMap<String, String>);

impl Resolver {
    /// Looks up each variable in `given`, in `SPIN_VARIABLE_<NAME>` of the environment, in
    /// `SPIN_VARIABLE_<NAME>` of the file `dotenv`, and takes its default last.
    pub fn new(
        declared: &BTreeMap<String, Variable>,
        given: &HashMap<String, String>,
        dotenv: &Path,
    ) -> Result<Self> {
        let file = read_dotenv(dotenv)?;
        let mut values = HashMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            let key = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
            let value = given
                .get(name)
                .cloned()
                .or_else(|| std::env::var(&key).ok())
                .or_else(|| file.get(&key).cloned())
                .or_else(|| variable.default.clone());
            match value {
                Some(value) => _ = values.insert(name.clone(), value),
                None => missing.push(key),
            }
        }
        ensure!(
            missing.is_empty(),
            "required variables have no value: set {} in the environment or in .env, or pass --variable NAME=VALUE",
            missing.join(", ")
        );
        Ok(Self(values))
    }

    /// Replaces each `{{ name }}` in `template` by the value of that variable.
    pub fn render(&self, template: &str) -> Result<String> {
        let mut rendered = String::new();
        let mut rest = template;
        while let Some((literal, expression)) = rest.split_once("{{") {
            let (name, after) = expression
                .split_once("}}")
                .with_context(|| format!("template {template:?} has `{{{{` without `}}}}`"))?;
            let name = name.trim();
            let value = self.0.get(name).with_context(|| {
                format!("template {template:?} uses variable {name:?}, which [variables] does not declare")
            })?;
            rendered.push_str(literal);
            rendered.push_str(value);
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }
}

/// Returns the file's entries. A missing file has none.
fn read_dotenv(path: &Path) -> Result<HashMap<String, String>> {
    let entries = dotenvy::from_path_iter(path).into_iter().flatten();
    entries
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_variables_in_templates() {
        let values = [("host", "db"), ("port", "1")];
        let resolver = Resolver(values.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let render = |template| resolver.render(template).expect("the template is valid");
        assert_eq!(render("postgres://{{ host }}:{{port}}"), "postgres://db:1");
        assert_eq!(render("plain"), "plain");
        assert!(resolver.render("{{ unknown }}").is_err());
        assert!(resolver.render("{{ host").is_err());
    }
}
