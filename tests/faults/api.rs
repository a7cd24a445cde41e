//! Requests to both processes of the service.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use serde_json::Value;
use tokio::time::sleep;

use crate::observations::Observations;

/// More than any request may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client waits after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// A request, and the statuses that are right for it besides 503.
pub struct Request<'a> {
    pub method: Method,
    pub path: &'a str,
    pub token: &'a str,
    pub body: Option<&'a Value>,
    pub idempotency_key: Option<&'a str>,
    pub expected: &'a [u16],
}

impl<'a> Request<'a> {
    /// Returns a request without body that expects 200.
    pub fn new(method: Method, path: &'a str, token: &'a str) -> Self {
        Self {
            method,
            path,
            token,
            body: None,
            idempotency_key: None,
            expected: &[200],
        }
    }
}

/// Status and JSON body of a response.
pub struct Response {
    pub status: u16,
    pub body: Value,
}

/// Connections to both processes.
pub struct Api {
    http: reqwest::Client,
    urls: [String; 2],
}

impl Api {
    /// Returns new connections to these URLs.
    pub fn new(urls: [String; 2]) -> Result<Self> {
        let http = testbed::api::client_builder().timeout(TIMEOUT);
        Ok(Self {
            http: http.build()?,
            urls,
        })
    }

    /// Sends a request to a random process. Returns none if the client has to retry.
    pub async fn send(&self, request: &Request<'_>, seen: &Observations) -> Option<Response> {
        self.send_to(fastrand::usize(..2), request, seen).await
    }

    /// Sends a request to a process, and records how it goes.
    pub async fn send_to(
        &self,
        process: usize,
        request: &Request<'_>,
        seen: &Observations,
    ) -> Option<Response> {
        let begun = Instant::now();
        let name = format!("{} {}", request.method, request.path);
        let result = self.exchange(process, request).await;
        seen.took(&name, begun.elapsed());
        match result {
            Err(error) => seen.no_response(&name, &error),
            Ok((response, retry_after)) => {
                let Response { status, body } = &response;
                let is_unavailable = *status == 503
                    && body["error"] == "service_unavailable"
                    && body["message"].is_string()
                    && retry_after;
                if request.expected.contains(status) {
                    return Some(response);
                }
                if is_unavailable {
                    seen.unavailable(&name);
                } else {
                    // Only the code: other bodies may hold tokens.
                    seen.violation(format!("{name} got {status} {}", body["error"]));
                }
            }
        }
        sleep(FAILURE_PAUSE).await;
        None
    }

    /// Returns the response, and whether it has the header `Retry-After`.
    async fn exchange(
        &self,
        process: usize,
        request: &Request<'_>,
    ) -> Result<(Response, bool), reqwest::Error> {
        let url = format!("{}{}", self.urls[process], request.path);
        let mut builder = self.http.request(request.method.clone(), url);
        if !request.token.is_empty() {
            builder = builder.header(AUTHORIZATION, format!("Bearer {}", request.token));
        }
        if let Some(key) = request.idempotency_key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(body) = request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().contains_key(RETRY_AFTER);
        let body = response.bytes().await?;
        // A 204 has no body, and no right response has one that is not JSON.
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok((Response { status, body }, retry_after))
    }
}
