//! A request under construction.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::client::Service;
use super::invariants::assert_invariants;
use super::private_values;
use super::response::Response;

/// A request before it is sent.
pub struct Request {
    service: Service,
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Request {
    /// Starts a request without headers or body.
    pub fn new(service: Service, method: Method, path: &str) -> Self {
        Self {
            service,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header beside those of the same name.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.headers.push((name.to_owned(), value));
        self
    }

    /// Removes all headers of a name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| present != name);
        self
    }

    /// Sends this token instead of the client's.
    pub fn bearer(self, token: &str) -> Self {
        self.without("authorization")
            .header("authorization", format!("Bearer {token}"))
    }

    /// Sets the address that the trusted proxy reports.
    pub fn from(self, address: &str) -> Self {
        self.without("x-forwarded-for")
            .header("x-forwarded-for", address)
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets a body and its content type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the request and checks the response against [`assert_invariants`] and the OpenAPI document.
    pub async fn send(self) -> Response {
        let openapi = self.service.openapi.clone();
        let has_origin = self.headers.iter().any(|(name, _)| name == "origin");
        let response = self.send_unchecked().await;
        assert_invariants(&response, has_origin);
        openapi.assert_documented(&response);
        response
    }

    /// Sends the request, for responses that break the invariants or the OpenAPI document on purpose.
    pub async fn send_unchecked(self) -> Response {
        let Self {
            service,
            method,
            path,
            headers,
            body,
        } = self;
        private_values::add_body(&body);
        for (name, value) in &headers {
            if name == "authorization" {
                private_values::add(String::from_utf8_lossy(value).trim_start_matches("Bearer "));
            }
        }
        let url = format!("{}{path}", service.url);
        let mut request = service.http.request(method.clone(), url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => panic!("{method} {path}: no response: {error:?}"),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        match response.bytes().await {
            Ok(body) => Response {
                method,
                path,
                status,
                headers,
                body,
            },
            Err(error) => panic!("{method} {path}: the body is incomplete: {error:?}"),
        }
    }
}
