//! The Kubernetes manifests: they build, fit the API's schemas, and keep the Spin operator's rules.

use std::ffi::OsStr;
use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::{Summary, output, output_of};

/// Names a folder with the operator's CRDs.
const CRDS: &str = "SPIN_OPERATOR_CRDS";
const FOLDERS: [&str; 4] = [
    "development",
    "development/migrate",
    "production",
    "production/migrate",
];

pub fn run(summary: &mut Summary) {
    for folder in FOLDERS {
        summary.run(
            &format!("kubernetes {folder}: builds and keeps the operator's rules"),
            &["kustomize"],
            || {
                let documents = build(folder)?;
                if !folder.ends_with("migrate") {
                    check_operator_rules(&documents)?;
                }
                Ok(())
            },
        );
        let programs = ["kustomize", "kubernetes-validate"];
        summary.run(
            &format!("kubernetes {folder}: fits the API's schemas"),
            &programs,
            || validate(&build(folder)?),
        );
    }
    summary.run(
        "kubernetes keda: replaces the autoscaler",
        &["kustomize"],
        check_keda,
    );
    let name = "kubernetes: fits the operator's custom resource definitions";
    // Their file belongs to a release of the operator, so it is not in this repository.
    let Some(crds) = std::env::var_os(CRDS) else {
        return summary.skip(
            name,
            &format!("name the folder of the spin-operator's CRDs in {CRDS}"),
        );
    };
    let modules = "import jsonschema, yaml";
    if output("python3", &["-c", modules]).is_err() {
        return summary.skip(name, "install Python's packages jsonschema and PyYAML");
    }
    summary.run(name, &["kustomize"], || {
        for folder in ["development", "production"] {
            validate_custom(&build(folder)?, &crds)?;
        }
        Ok(())
    });
}

/// Adds the component to the production overlay.
fn check_keda() -> Result<()> {
    let folder = "target/test-deploy/keda";
    let path = testbed::workspace().join(folder);
    std::fs::create_dir_all(&path)?;
    std::fs::write(
        path.join("kustomization.yaml"),
        "resources: [../../../deploy/kubernetes/overlays/production]\n\
        components: [../../../deploy/kubernetes/components/keda]\n",
    )?;
    let documents = build_folder(folder)?;
    let has = |kind: &str| {
        let line = format!("\nkind: {kind}\n");
        documents.iter().any(|document| document.contains(&line))
    };
    ensure!(has("ScaledObject"), "there is no ScaledObject");
    ensure!(
        !has("HorizontalPodAutoscaler"),
        "the HorizontalPodAutoscaler is still there"
    );
    Ok(())
}

fn build(folder: &str) -> Result<Vec<String>> {
    build_folder(&format!("deploy/kubernetes/overlays/{folder}"))
}

fn build_folder(folder: &str) -> Result<Vec<String>> {
    let built = output("kustomize", &["build", folder])?;
    Ok(built
        .split("\n---\n")
        .map(|document| format!("{document}\n"))
        .collect())
}

/// Validates all but the operator's own kinds, for which kubernetes-validate has no schema.
fn validate(documents: &[String]) -> Result<()> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    for document in documents
        .iter()
        .filter(|document| !document.contains("apiVersion: core.spinkube.dev/"))
    {
        write!(file, "---\n{document}")?;
    }
    let path = file.path().to_string_lossy();
    output("kubernetes-validate", &["--strict", &path]).map(drop)
}

/// Validates the operator's own kinds by the CRDs of its release, from which unknown fields are taken out otherwise.
fn validate_custom(documents: &[String], crds: &OsStr) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    for document in documents {
        write!(file, "---\n{document}")?;
    }
    let mut python = Command::new("python3");
    python
        .args(["-c", include_str!("crd.py")])
        .arg(crds)
        .arg(file.path());
    output_of(&mut python).map(drop)
}

/// Checks what the operator's admission webhooks would refuse, and what it needs beyond them.
fn check_operator_rules(documents: &[String]) -> Result<()> {
    let of_kind = |kind: &str| {
        let line = format!("\nkind: {kind}\n");
        let found = documents.iter().find(|document| document.contains(&line));
        found.with_context(|| format!("there is no {kind}"))
    };
    let (app, executor) = (of_kind("SpinApp")?, of_kind("SpinAppExecutor")?);
    ensure!(
        field(app, "  enableAutoscaling") == Some("true"),
        "the SpinApp is not scaled automatically"
    );
    ensure!(
        field(app, "  replicas").is_none(),
        "replicas must not be set with enableAutoscaling"
    );
    ensure!(
        field(app, "  executor") == field(executor, "  name"),
        "the executor that the SpinApp names does not exist"
    );
    ensure!(
        field(app, "  namespace") == field(executor, "  namespace"),
        "the executor is not in the namespace of the SpinApp"
    );
    let images =
        ["    spinImage", "    runtimeClassName"].map(|key| field(executor, key).is_some());
    ensure!(
        images == [true, false],
        "the executor must have a spinImage and no runtimeClassName"
    );

    // Spin in the pod is started with --runtime-config-file, so the Secret must exist.
    let secret =
        field(app, "    loadFromSecret").context("the SpinApp has no runtime configuration")?;
    let exists = documents.iter().any(|document| {
        document.contains("\nkind: Secret\n") && field(document, "  name") == Some(secret)
    });
    ensure!(
        exists,
        "the Secret {secret} of the runtime configuration is not generated"
    );
    // Kustomize must have replaced the ConfigMap's name by the generated one.
    let settings = field(of_kind("ConfigMap")?, "  name").context("the ConfigMap has no name")?;
    ensure!(
        app.contains(&format!("name: {settings}\n")),
        "the SpinApp does not refer to the ConfigMap {settings}"
    );
    ensure!(
        !documents
            .iter()
            .any(|document| document.contains("registry.example/")),
        "an image is not replaced"
    );
    Ok(())
}

/// Returns a value in the output of Kustomize, which always has one key per line. `key` includes its indentation.
fn field<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    let start = format!("{key}: ");
    document.lines().find_map(|line| line.strip_prefix(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "apiVersion: core.spinkube.dev/v1alpha1\nkind: SpinApp\nmetadata:\n  name: app\n  namespace: n\nspec:\n  \
        enableAutoscaling: true\n  executor: spin\n  runtimeConfig:\n    loadFromSecret: config\n  variables:\n  - valueFrom:\n      \
        configMapKeyRef:\n        name: settings-1\n";
    const EXECUTOR: &str = "apiVersion: core.spinkube.dev/v1alpha1\nkind: SpinAppExecutor\nmetadata:\n  name: spin\n  namespace: n\n\
        spec:\n  deploymentConfig:\n    spinImage: spin:v4\n";
    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: config\n";
    const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-1\n";

    fn check(change: (&str, &str)) -> Option<String> {
        let documents =
            [APP, EXECUTOR, SECRET, SETTINGS].map(|document| document.replace(change.0, change.1));
        check_operator_rules(&documents)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn accepts_what_the_operator_accepts() {
        assert_eq!(check(("", "")), None);
    }

    #[test]
    fn refuses_what_the_operator_refuses() {
        let refused = |from, to| check((from, to)).unwrap_or_default();
        assert_eq!(
            refused("  executor: spin", "  executor: other"),
            "the executor that the SpinApp names does not exist"
        );
        let replicas = "  executor: spin\n  replicas: 2";
        assert_eq!(
            refused("  executor: spin", replicas),
            "replicas must not be set with enableAutoscaling"
        );
        let both = "    runtimeClassName: x\n    spinImage";
        assert_eq!(
            refused("    spinImage", both),
            "the executor must have a spinImage and no runtimeClassName"
        );
        assert_eq!(
            refused("name: config\n", "name: c\n"),
            "the Secret config of the runtime configuration is not generated"
        );
        assert_eq!(
            refused("        name: settings-1", "        name: settings"),
            "the SpinApp does not refer to the ConfigMap settings-1"
        );
    }
}
