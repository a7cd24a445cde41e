//! `cargo xtask push` against a real registry.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use reqwest::header::ACCEPT;
use serde_json::Value;
use tempfile::TempDir;
use testbed::api::{User, client_builder};
use testbed::environment::Environment;
use testbed::process::{ChildProcess, Signal};
use testbed::runtime::Kind;
use testbed::settings::PREFIX;

use super::nginx::free_port;
use super::report::{Summary, output_of};

/// Spin compiles the components at its first start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub async fn run(summary: &mut Summary) -> Result<()> {
    let name = "registry: push, and pull what was pushed";
    if !summary.has_programs(name, &["docker-registry"]) {
        return Ok(());
    }
    let registry = Registry::start().await?;
    let pushed = push(&registry.address, &[]).await;
    let checked = match &pushed {
        Ok(digest) => check(&registry.address, digest).await,
        Err(error) => Err(anyhow!("{error:#}")),
    };
    summary.add(name, checked);

    let name = "registry: Spin starts what was pushed";
    match &pushed {
        Ok(digest) if Kind::detect() == Kind::Spin => {
            summary.add(name, start_with_spin(&registry.address, digest).await);
        }
        Ok(_) => summary.skip(name, "put Spin 4.1 or newer on the PATH"),
        Err(_) => summary.skip(name, "nothing was pushed"),
    }
    let name = "registry: push --sign, and verify the signature";
    if summary.has_programs(name, &["cosign"]) {
        summary.add(name, sign_and_verify(&registry.address).await);
    }
    registry.process.stop(Signal::SIGTERM, STOP_TIMEOUT).await;
    Ok(())
}

/// A running registry. Its content is deleted when it is dropped.
struct Registry {
    process: ChildProcess,
    address: String,
    _folder: TempDir,
}

impl Registry {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = folder.path().join("registry.yml");
        let storage = folder.path().display();
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: '{address}'}}\n"
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = ChildProcess::start(command, Signal::SIGTERM)?;
        let url = format!("http://{address}/v2/");
        wait_for(&url, "docker-registry").await?;
        Ok(Self {
            process,
            address,
            _folder: folder,
        })
    }
}

async fn wait_for(url: &str, name: &str) -> Result<()> {
    let client = client_builder().build()?;
    let deadline = Instant::now() + START_TIMEOUT;
    while client.get(url).send().await.is_err() {
        ensure!(Instant::now() < deadline, "{name} does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Runs `cargo xtask push` and returns the digest that it printed.
async fn push(address: &str, environment: &[(&str, &str)]) -> Result<String> {
    let mut push = Command::new(std::env::current_exe()?);
    push.args(["push", "--insecure"]);
    if !environment.is_empty() {
        push.arg("--sign").envs(environment.iter().copied());
    }
    push.arg(format!("{address}/thought-diary:test"));
    let printed = tokio::task::spawn_blocking(move || output_of(&mut push)).await??;
    let (_, digest) = printed
        .trim()
        .rsplit_once('@')
        .context("push printed no digest")?;
    Ok(digest.to_owned())
}

/// Starts the application as SpinKube does, from the registry and with the base's runtime configuration.
async fn start_with_spin(address: &str, digest: &str) -> Result<()> {
    let environment = Environment::start().await?;
    let options = environment.service(&[])?;
    let listen = format!("127.0.0.1:{}", free_port()?);
    let config = testbed::workspace().join("deploy/kubernetes/base/runtime-config.toml");
    let mut command = Command::new("spin");
    command
        .args(["up", "--insecure", "--listen", &listen, "--from"])
        .arg(format!("{address}/thought-diary@{digest}"))
        .arg("--runtime-config-file")
        .arg(config)
        .current_dir(&options.state_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in &options.variables {
        command.env(format!("{PREFIX}{}", name.to_ascii_uppercase()), value);
    }
    let spin = ChildProcess::start(command, Signal::SIGTERM)?;
    let url = format!("http://{listen}");
    let result = async {
        wait_for(&format!("{url}/health"), "Spin").await?;
        let user = User::register(&url, "spin@example.com", "Passw0rd!").await?;
        let created = user.create_diary("What a wonderful morning.");
        created.send(&url).await.map(drop)
    };
    let result = result.await;
    spin.stop(Signal::SIGTERM, STOP_TIMEOUT).await;
    environment.stop().await;
    result
}

/// Signs with a key that is on this machine only, and without the public log.
async fn sign_and_verify(address: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut generate = Command::new("cosign");
    generate
        .arg("generate-key-pair")
        .arg("--output-key-prefix")
        .arg(folder.path().join("test"))
        .env("COSIGN_PASSWORD", "");
    output_of(&mut generate)?;
    let (key, public) = ("test.key", "test.pub");
    let [key, public] = [key, public].map(|name| folder.path().join(name).display().to_string());
    let environment = [("COSIGN_KEY", key.as_str()), ("COSIGN_PASSWORD", "")];
    let digest = push(address, &environment).await?;
    let mut verify = Command::new("cosign");
    verify
        .args(["verify", "--key", &public, "--insecure-ignore-tlog=true"])
        .args(["--allow-http-registry", "--allow-insecure-registry"])
        .arg(format!("{address}/thought-diary@{digest}"));
    output_of(&mut verify).map(drop)
}

/// Compares what the registry has with what was built.
async fn check(address: &str, digest: &str) -> Result<()> {
    let client = client_builder().build()?;
    // By digest, as deployments name it.
    let url = format!("http://{address}/v2/thought-diary");
    let request = client
        .get(format!("{url}/manifests/{digest}"))
        .header(ACCEPT, MANIFEST);
    let manifest: Value = request.send().await?.error_for_status()?.json().await?;
    let layers = manifest["layers"]
        .as_array()
        .context("the manifest has no layers")?;
    ensure!(
        layers.len() == 6,
        "there are {} layers instead of five components and the lock",
        layers.len()
    );
    let lock = layers
        .last()
        .and_then(|layer| layer["digest"].as_str())
        .context("the lock has no digest")?;
    let lock: Value = client
        .get(format!("{url}/blobs/{lock}"))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let components = lock["components"]
        .as_array()
        .context("the lock has no components")?;
    for (component, layer) in components.iter().zip(layers) {
        ensure!(
            component["source"]["digest"] == layer["digest"],
            "the lock of {} names another layer",
            component["id"]
        );
    }
    let wasm = std::fs::read(crate::build::component("auth"))?;
    let auth = layers[0]["digest"]
        .as_str()
        .context("the layer has no digest")?;
    let pulled = client
        .get(format!("{url}/blobs/{auth}"))
        .send()
        .await?
        .error_for_status()?
        .bytes()
        .await?;
    ensure!(pulled == wasm, "the first layer is not the component auth");
    Ok(())
}
