//! Single requests to a running service.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A sweep takes the longest: 20 seconds and then what is under way.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A request, as it is sent once or over and over.
pub struct Call {
    /// In capitals.
    pub method: &'static str,
    /// With the query.
    pub path: String,
    /// JSON, where there is a body.
    pub body: Option<String>,
    token: Option<String>,
}

impl Call {
    /// A GET that needs no token.
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            body: None,
            token: None,
        }
    }

    /// A POST of JSON that needs no token.
    pub fn post(path: &str, body: &Value) -> Self {
        Self {
            method: "POST",
            body: Some(body.to_string()),
            ..Self::get(path)
        }
    }

    /// The same with an access token.
    pub fn with_token(self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self
        }
    }

    /// Names and values of the headers that the call needs.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let token = self.token.as_ref();
        let authorization = token.map(|token| ("authorization", format!("Bearer {token}")));
        let body = self.body.as_ref();
        let content_type = body.map(|_| ("content-type", "application/json".to_owned()));
        authorization.into_iter().chain(content_type).collect()
    }

    /// Sends it once to the service at `url`, over a connection of its own, and gives the JSON of the answer.
    ///
    /// # Errors
    /// When there is no answer in time, or another than a success.
    pub async fn send(&self, url: &str) -> Result<Value> {
        let answered = tokio::time::timeout(ANSWER_WITHIN, self.exchange(url)).await;
        let answered = answered.context("no answer in time").flatten();
        answered.with_context(|| format!("{} {} failed", self.method, self.path))
    }

    async fn exchange(&self, url: &str) -> Result<Value> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("{url}{}", self.path))
            .header(header::CONNECTION, "close");
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(self.body.clone().unwrap_or_default()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(body)?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        ensure!(status.is_success(), "the answer is {status}: {text}");
        serde_json::from_slice(&body).context("the answer is not JSON")
    }
}
