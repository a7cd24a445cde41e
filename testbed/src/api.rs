//! Requests to a running service.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, ClientBuilder};
use serde_json::{Value, json};

/// A sweep takes longest: 20 seconds, and then the analyses that are still under way.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a builder of HTTP clients that use no proxy.
pub fn client_builder() -> ClientBuilder {
    install_crypto_provider();
    Client::builder().no_proxy()
}

/// Chooses the cryptography of TLS. reqwest panics when a client is built before.
pub fn install_crypto_provider() {
    // An error means that it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A request, sent once or repeatedly.
pub struct Call {
    /// The method in capitals.
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    /// The JSON body, if there is one.
    pub body: Option<String>,
    token: Option<String>,
}

impl Call {
    /// Returns a GET without token.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            body: None,
            token: None,
        }
    }

    /// Returns a POST of JSON without token.
    #[must_use]
    pub fn post(path: &str, body: &Value) -> Self {
        Self {
            method: "POST",
            body: Some(body.to_string()),
            ..Self::get(path)
        }
    }

    /// Adds an access token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self
        }
    }

    /// Returns the headers that depend on token and body.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let authorization = self.token.as_ref();
        let authorization = authorization.map(|token| ("authorization", format!("Bearer {token}")));
        let content_type = self.body.as_ref();
        let content_type = content_type.map(|_| ("content-type", "application/json".to_owned()));
        authorization.into_iter().chain(content_type).collect()
    }

    /// Sends it to the service at `url`, over a connection of its own, and returns the JSON of the response.
    ///
    /// # Errors
    /// When there is no response in time, its status is not a success, or it is not JSON.
    pub async fn send(&self, url: &str) -> Result<Value> {
        let sent = self.exchange(url).await;
        sent.with_context(|| format!("{} {} failed", self.method, self.path))
    }

    async fn exchange(&self, url: &str) -> Result<Value> {
        static CLIENT: LazyLock<Client> = LazyLock::new(|| {
            let client = client_builder().pool_max_idle_per_host(0);
            client.timeout(TIMEOUT).build().unwrap_or_default()
        });
        let mut request = CLIENT.request(self.method.parse()?, format!("{url}{}", self.path));
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        let response = request
            .body(self.body.clone().unwrap_or_default())
            .send()
            .await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "the response is {status}: {text}");
        serde_json::from_str(&text).context("the response is not JSON")
    }
}

/// A user with an access token.
pub struct User {
    /// Id in the database.
    pub id: i32,
    /// Email address.
    pub email: String,
    /// Access token, valid for 15 minutes.
    pub token: String,
}

impl User {
    /// Creates an account at the service at `url` and logs in.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn register(url: &str, email: &str, password: &str) -> Result<Self> {
        let account = json!({ "email": email, "password": password });
        Call::post("/auth/register", &account).send(url).await?;
        Self::log_in(url, email, password).await
    }

    /// Logs in with an existing account.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn log_in(url: &str, email: &str, password: &str) -> Result<Self> {
        let login = login(email, password).send(url).await?;
        let token = login.get("access_token").and_then(Value::as_str);
        let id = login.pointer("/user/id").and_then(Value::as_i64);
        Ok(Self {
            id: i32::try_from(id.context("the login has no user id")?)?,
            token: token.context("the login has no access token")?.to_owned(),
            email: email.to_owned(),
        })
    }

    /// Returns a GET with the access token.
    #[must_use]
    pub fn get(&self, path: &str) -> Call {
        Call::get(path).with_token(&self.token)
    }

    /// Returns the call that creates a diary.
    #[must_use]
    pub fn create_diary(&self, content: &str) -> Call {
        Call::post("/diaries", &json!({ "content": content })).with_token(&self.token)
    }
}

/// Returns the call that logs in.
#[must_use]
pub fn login(email: &str, password: &str) -> Call {
    Call::post(
        "/auth/login",
        &json!({ "email": email, "password": password }),
    )
}
