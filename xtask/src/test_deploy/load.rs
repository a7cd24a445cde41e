//! Clients that write entries through a proxy, and what they were told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testbed::api::{User, client_builder};
use tokio::task::JoinHandle;

/// Each has an address of its own, so that the proxy's limit per address does not apply.
const CLIENTS: u8 = 8;
const PAUSE: Duration = Duration::from_millis(25);
const TIMEOUT: Duration = Duration::from_secs(20);
const PASSWORD: &str = "Passw0rd!";

/// Running clients.
pub struct Load {
    is_stopped: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Written>>,
}

/// The responses that clients got.
#[derive(Default)]
pub struct Written {
    /// Ids of the entries whose creation was answered with 201.
    pub acknowledged: BTreeSet<i64>,
    /// Descriptions of all other responses, and of requests without a response.
    pub failures: Vec<String>,
}

impl Load {
    /// Registers users with the service at `service_url`, which write through the proxy on an HTTPS port of this machine.
    pub async fn start(proxy_port: u16, service_url: &str) -> Result<Self> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 1..=CLIENTS {
            let email = format!("client{number}@example.com");
            let user = User::register(service_url, &email, PASSWORD).await?;
            let http = client_builder()
                .local_address(Some([127, 0, 1, number].into()))
                .tls_danger_accept_invalid_certs(true)
                .timeout(TIMEOUT)
                .build()?;
            let url = format!("https://127.0.0.1:{proxy_port}/diaries");
            let is_stopped = Arc::clone(&is_stopped);
            clients.push(tokio::spawn(async move {
                let mut written = Written::default();
                while !is_stopped.load(Ordering::Relaxed) {
                    match write_and_read(&http, &url, &user.token).await {
                        Ok(id) => drop(written.acknowledged.insert(id)),
                        Err(error) => written.failures.push(format!("{error:#}")),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                written
            }));
        }
        Ok(Self {
            is_stopped,
            clients,
        })
    }

    /// Stops the clients, after the responses to their last requests.
    pub async fn stop(self) -> Result<Written> {
        self.is_stopped.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for client in self.clients {
            let written = client.await?;
            all.acknowledged.extend(written.acknowledged);
            all.failures.extend(written.failures);
        }
        Ok(all)
    }
}

/// Creates an entry and reads it, perhaps from another instance. Returns its id.
async fn write_and_read(http: &Client, url: &str, token: &str) -> Result<i64> {
    let content = json!({"content": "What a wonderful morning."});
    let request = http.post(url).bearer_auth(token);
    let request = request
        .header("content-type", "application/json")
        .body(content.to_string());
    let created = answer(request, StatusCode::CREATED).await?;
    let id = created["id"].as_i64().context("the entry has no id")?;
    let request = http.get(format!("{url}/{id}")).bearer_auth(token);
    answer(request, StatusCode::OK).await?;
    Ok(id)
}

async fn answer(request: reqwest::RequestBuilder, expected: StatusCode) -> Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    anyhow::ensure!(status == expected, "{status}: {text}");
    serde_json::from_str(&text).context("the response is not JSON")
}
