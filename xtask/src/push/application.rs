//! The application as a registry keeps it: one layer per component, and the locked manifest.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use oci_client::client::{Config, ImageLayer};
use oci_client::config::{Architecture, Config as RuntimeConfig, ConfigFile, Os};
use oci_client::manifest::OciImageManifest;
use serde_json::{Map, Value, json};
use toml::{Table, Value as Toml};

const COMPONENT_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
const LOCK_LAYER: &str = "application/vnd.fermyon.spin.application.v1+config";
/// The label that makes the configuration differ between applications. Without it, all would have the same image ID.
const LOCK_DIGEST_LABEL: &str = "com.fermyon.spin.lockedAppDigest";

/// Keys of a component that the locked manifest below represents.
const COMPONENT_KEYS: [&str; 5] = [
    "source",
    "description",
    "allowed_outbound_hosts",
    "variables",
    "build",
];

/// An application with its components' content.
pub struct Application {
    lock: Value,
    components: Vec<ImageLayer>,
}

impl Application {
    /// Loads `spin.toml` in `folder` and the components that it names.
    ///
    /// # Errors
    /// When a file cannot be read, or the manifest uses what is not supported here.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("spin.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Table = toml::from_str(&text)?;
        let read = |source: &str| {
            std::fs::read(folder.join(source))
                .with_context(|| format!("cannot read the component {source}"))
        };
        Self::new(&manifest, read).with_context(|| format!("cannot push {}", path.display()))
    }

    fn new(manifest: &Table, read: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Self> {
        let mut layers = Vec::new();
        let mut components = Vec::new();
        // Sorted by name, so that the same application always has the same digest.
        let mut sorted: Vec<_> = table(manifest, "component")?.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, component) in sorted {
            let component = component
                .as_table()
                .with_context(|| format!("component.{name} is not a table"))?;
            let source = component.get("source").and_then(Toml::as_str);
            let source =
                source.with_context(|| format!("component.{name}.source is not a file"))?;
            let layer = ImageLayer::new(read(source)?, COMPONENT_LAYER.to_owned(), None);
            components.push(locked_component(name, component, &layer.sha256_digest())?);
            layers.push(layer);
        }
        let requires_chaining = components
            .iter()
            .any(|component| component.get("host_requirements").is_some());
        let mut lock = json!({
            "spin_lock_version": u8::from(requires_chaining),
            "metadata": metadata(table(manifest, "application")?)?,
            "variables": variables(table(manifest, "variables")?),
            "triggers": triggers(manifest)?,
            "components": components,
        });
        if requires_chaining {
            lock["must_understand"] = json!(["component_host_requirements"]);
        }
        Ok(Self {
            lock,
            components: layers,
        })
    }

    /// Returns the layers, the configuration and the manifest of the image.
    pub fn image(&self) -> Result<(Vec<ImageLayer>, Config, OciImageManifest)> {
        let lock = ImageLayer::new(serde_json::to_vec(&self.lock)?, LOCK_LAYER.to_owned(), None);
        let labels = HashMap::from([(LOCK_DIGEST_LABEL.to_owned(), lock.sha256_digest())]);
        let config = Config::oci_v1_from_config_file(
            ConfigFile {
                architecture: Architecture::Wasm,
                os: Os::Other("Wasip1".to_owned()),
                config: Some(RuntimeConfig {
                    labels: Some(labels),
                    ..RuntimeConfig::default()
                }),
                ..ConfigFile::default()
            },
            None,
        )?;
        let mut layers = self.components.clone();
        layers.push(lock);
        let manifest = OciImageManifest::build(&layers, &config, None);
        Ok((layers, config, manifest))
    }
}

fn table<'a>(parent: &'a Table, key: &str) -> Result<&'a Table> {
    let value = parent.get(key).and_then(Toml::as_table);
    value.with_context(|| format!("there is no table [{key}]"))
}

fn metadata(application: &Table) -> Result<Value> {
    let mut metadata = Map::new();
    for key in ["name", "version", "description"] {
        if let Some(value) = application.get(key) {
            metadata.insert(key.to_owned(), serde_json::to_value(value)?);
        }
    }
    if let Some(authors) = application.get("authors") {
        metadata.insert("authors".to_owned(), serde_json::to_value(authors)?);
    }
    ensure!(
        application.get("trigger").is_none(),
        "[application.trigger] is not supported"
    );
    // Spin writes both, the second for older versions of itself.
    metadata.insert("triggers".to_owned(), json!({}));
    metadata.insert("trigger".to_owned(), json!({"type": "http"}));
    Ok(metadata.into())
}

/// A variable has a default or is required; the lock expresses the latter by no default.
fn variables(variables: &Table) -> Value {
    let locked = variables.iter().map(|(name, variable)| {
        let mut locked = Map::new();
        for key in ["description", "default"] {
            if let Some(text) = variable.get(key).and_then(Toml::as_str) {
                locked.insert(key.to_owned(), text.into());
            }
        }
        if variable.get("secret").and_then(Toml::as_bool) == Some(true) {
            locked.insert("secret".to_owned(), true.into());
        }
        (name.clone(), Value::from(locked))
    });
    locked.collect::<Map<_, _>>().into()
}

/// Names each trigger after its component, or by its number when the component has one already, as Spin does.
fn triggers(manifest: &Table) -> Result<Value> {
    let triggers = table(manifest, "trigger")?;
    ensure!(
        triggers.keys().eq(["http"]),
        "only [[trigger.http]] is supported"
    );
    let http = triggers.get("http").and_then(Toml::as_array);
    let mut locked: Vec<Value> = Vec::new();
    let mut counter = 0;
    for trigger in http.context("[[trigger.http]] is not a list")? {
        let component = trigger.get("component").and_then(Toml::as_str);
        let component = component.context("a trigger names no component")?;
        let mut id = format!("{component}-http-trigger");
        if locked.iter().any(|trigger| trigger["id"] == id.as_str()) {
            counter += 1;
            id = format!("http-trigger{counter}");
        }
        locked.push(json!({"id": id, "trigger_type": "http", "trigger_config": trigger}));
    }
    Ok(locked.into())
}

fn locked_component(name: &str, component: &Table, digest: &str) -> Result<Value> {
    if let Some(key) = component
        .keys()
        .find(|key| !COMPONENT_KEYS.contains(&key.as_str()))
    {
        bail!("component.{name}.{key} is not supported: use `spin registry push`");
    }
    let mut metadata = Map::new();
    for key in ["description", "allowed_outbound_hosts", "build"] {
        if let Some(value) = component.get(key) {
            metadata.insert(key.to_owned(), serde_json::to_value(value)?);
        }
    }
    let hosts = component
        .get("allowed_outbound_hosts")
        .and_then(Toml::as_array);
    let chains = hosts.is_some_and(|hosts| {
        let mut hosts = hosts.iter().filter_map(Toml::as_str);
        hosts.any(|host| host.ends_with(".spin.internal"))
    });
    let mut locked = json!({
        "id": name,
        "metadata": metadata,
        "source": {"content_type": "application/wasm", "digest": digest},
    });
    if let Some(variables) = component.get("variables") {
        locked["config"] = serde_json::to_value(variables)?;
    }
    if chains {
        // A host without service chaining refuses the application instead of failing its requests.
        locked["host_requirements"] = json!({"local_service_chaining": "required"});
    }
    Ok(locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "app"
        version = "1.2.3"
        [variables]
        url = { required = true, secret = true }
        level = { default = "info" }
        [[trigger.http]]
        route = "/a/..."
        component = "a"
        [[trigger.http]]
        route = "/..."
        component = "a"
        [[trigger.http]]
        route = { private = true }
        component = "b"
        [component.b]
        source = "b.wasm"
        [component.a]
        source = "a.wasm"
        allowed_outbound_hosts = ["http://b.spin.internal"]
        variables = { level = "{{ level }}" }
    "#;

    fn application(manifest: &str) -> Result<Application> {
        let manifest: Table = toml::from_str(manifest)?;
        Application::new(&manifest, |source| Ok(source.as_bytes().to_vec()))
    }

    #[test]
    fn locks_the_manifest_as_spin_does() {
        let digest =
            |text: &str| ImageLayer::new(text.to_owned(), String::new(), None).sha256_digest();
        let lock = application(MANIFEST).unwrap().lock;
        let expected = json!({
            "spin_lock_version": 1,
            "must_understand": ["component_host_requirements"],
            "metadata": {"name": "app", "version": "1.2.3", "triggers": {}, "trigger": {"type": "http"}},
            "variables": {"url": {"secret": true}, "level": {"default": "info"}},
            "triggers": [
                {"id": "a-http-trigger", "trigger_type": "http", "trigger_config": {"route": "/a/...", "component": "a"}},
                {"id": "http-trigger1", "trigger_type": "http", "trigger_config": {"route": "/...", "component": "a"}},
                {"id": "b-http-trigger", "trigger_type": "http", "trigger_config": {"route": {"private": true}, "component": "b"}},
            ],
            "components": [
                {
                    "id": "a",
                    "metadata": {"allowed_outbound_hosts": ["http://b.spin.internal"]},
                    "source": {"content_type": "application/wasm", "digest": digest("a.wasm")},
                    "config": {"level": "{{ level }}"},
                    "host_requirements": {"local_service_chaining": "required"},
                },
                {
                    "id": "b",
                    "metadata": {},
                    "source": {"content_type": "application/wasm", "digest": digest("b.wasm")},
                },
            ],
        });
        assert_eq!(lock, expected);
    }

    #[test]
    fn puts_the_lock_last_and_labels_the_configuration_with_its_digest() {
        let (layers, config, manifest) = application(MANIFEST).unwrap().image().unwrap();
        let types: Vec<_> = layers
            .iter()
            .map(|layer| layer.media_type.as_str())
            .collect();
        assert_eq!(types, [COMPONENT_LAYER, COMPONENT_LAYER, LOCK_LAYER]);
        let config: Value = serde_json::from_slice(&config.data).unwrap();
        assert_eq!(config["architecture"], "wasm");
        assert_eq!(config["os"], "Wasip1");
        assert_eq!(
            config["config"]["Labels"][LOCK_DIGEST_LABEL],
            layers[2].sha256_digest()
        );
        assert_eq!(manifest.layers[2].digest, layers[2].sha256_digest());
    }

    #[test]
    fn refuses_a_manifest_that_it_cannot_represent() {
        let error = application(&MANIFEST.replace(
            "source = \"b.wasm\"",
            "source = \"b.wasm\"\nfiles = [\"x\"]",
        ));
        let error = error.err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("component.b.files is not supported: use `spin registry push`")
        );
    }
}
