//! `cargo xtask push`: publishes the application in a registry, as `spin registry push` does.

mod application;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use testbed::progress::Progress;

use crate::build;
use application::Application;

/// A registry that drops packets would otherwise hold up the push forever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Publish the application in a registry, for Spin and SpinKube
///
/// Builds the components and pushes what `spin registry push` would, also where the Spin CLI is not
/// installed. Prints the reference with the digest, which deployments should name. The same
/// components always have the same digest. Credentials are those of `docker login`.
///
/// Examples:
///   cargo xtask push ghcr.io/someone/thought-diary:0.1.0
///   cargo xtask push --sign ghcr.io/someone/thought-diary:0.1.0
///   cargo xtask push --insecure localhost:5000/thought-diary:dev
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Registry, name and version
    #[arg(value_name = "REGISTRY/NAME:VERSION")]
    reference: Reference,
    /// Use plain HTTP, for a registry on this machine
    #[arg(long)]
    insecure: bool,
    /// Sign the digest with cosign, which must be installed; COSIGN_KEY names a key, otherwise cosign asks for an identity
    #[arg(long)]
    sign: bool,
}

pub async fn run(arguments: &Args) -> Result<()> {
    let reference = &arguments.reference;
    ensure!(
        reference.digest().is_none(),
        "name a version, as in {}:0.1.0: the digest follows from the content",
        reference.repository()
    );
    if arguments.sign {
        which::which("cosign")
            .context("--sign needs cosign on the PATH: install it, or push without --sign")?;
    }
    let progress = Progress::new();
    build::components(&progress).await?;
    let application = Application::load(testbed::workspace())?;

    let step = progress.step("Pushing the application");
    step.announce();
    let digest = push(&application, reference, arguments.insecure).await?;
    step.done();
    let pushed = format!(
        "{}/{}@{digest}",
        reference.registry(),
        reference.repository()
    );
    if arguments.sign {
        sign(&pushed, arguments.insecure)?;
    }
    println!("{pushed}");
    Ok(())
}

/// Pushes layers, configuration and manifest. Returns the manifest's digest.
async fn push(application: &Application, reference: &Reference, insecure: bool) -> Result<String> {
    testbed::api::install_crypto_provider();
    let client = Client::new(ClientConfig {
        protocol: if insecure {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        connect_timeout: Some(CONNECT_TIMEOUT),
        ..ClientConfig::default()
    });
    let auth = credentials(reference.registry())?;
    let (layers, config, manifest) = application.image()?;
    client
        .push(reference, &layers, config, &auth, Some(manifest))
        .await
        .with_context(|| {
            format!(
                "cannot push to {}: `docker login` there first, or pass --insecure for plain HTTP",
                reference.registry()
            )
        })?;
    // The registry's own word, so that what is printed can be pulled.
    client
        .fetch_manifest_digest(reference, &auth)
        .await
        .with_context(|| {
            format!(
                "{} did not return the digest of {reference}",
                reference.registry()
            )
        })
}

/// Returns the credentials that `docker login` has stored for a registry.
fn credentials(registry: &str) -> Result<RegistryAuth> {
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the credentials for {registry}"))
        }
    }
}

/// Signs with cosign. Its output goes to standard error, so that standard output has the reference only.
fn sign(pushed: &str, insecure: bool) -> Result<()> {
    let mut command = Command::new("cosign");
    command.args(["sign", "--yes"]);
    if let Ok(key) = std::env::var("COSIGN_KEY") {
        // The signature is verified with the public key. The public log is for signatures by an identity.
        command.args(["--key", &key, "--tlog-upload=false"]);
    }
    if insecure {
        command.args(["--allow-http-registry", "--allow-insecure-registry"]);
    }
    let status = command
        .arg(pushed)
        .stdout(Stdio::null())
        .status()
        .context("cannot start cosign")?;
    ensure!(
        status.success(),
        "cosign could not sign {pushed} ({status}); the application itself was pushed"
    );
    Ok(())
}
