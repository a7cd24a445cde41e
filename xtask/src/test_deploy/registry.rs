//! `cargo xtask push` against a real registry.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::header::ACCEPT;
use serde_json::Value;
use testbed::api::client_builder;
use testbed::process::{ChildProcess, Signal};

use super::report::{Summary, output_of};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub async fn run(summary: &mut Summary) -> Result<()> {
    let name = "registry: push, and pull what was pushed";
    if which::which("docker-registry").is_err() {
        summary.skipped += 1;
        println!("skip {name}: install docker-registry");
    } else {
        summary.add(name, push_and_pull().await);
    }
    Ok(())
}

async fn push_and_pull() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let address = format!("127.0.0.1:{port}");
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
    let registry = ChildProcess::start(command, Signal::SIGTERM)?;
    let result = check(&address).await;
    registry.stop(Signal::SIGTERM, Duration::from_secs(5)).await;
    result
}

async fn check(address: &str) -> Result<()> {
    let client = client_builder().build()?;
    let deadline = Instant::now() + START_TIMEOUT;
    while client
        .get(format!("http://{address}/v2/"))
        .send()
        .await
        .is_err()
    {
        ensure!(Instant::now() < deadline, "docker-registry does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reference = format!("{address}/thought-diary:test");
    let mut push = Command::new(std::env::current_exe()?);
    push.args(["push", "--insecure", &reference]);
    let pushed = tokio::task::spawn_blocking(move || output_of(&mut push)).await??;
    let digest = pushed
        .trim()
        .rsplit_once('@')
        .context("push printed no digest")?
        .1;

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
        layers.len() == 5,
        "there are {} layers instead of four components and the lock",
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
