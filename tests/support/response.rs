//! A response, with assertions that show all of it when they fail.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// A response and the request it belongs to.
#[derive(Clone, Debug)]
pub struct Response {
    /// The method of the request.
    pub method: Method,
    /// The path of the request, with its query.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// The headers, in the order in which they arrived.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// Asserts the status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.dump());
        self
    }

    /// Asserts a failure by its status and code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let found = (self.status, self.error_code());
        assert_eq!(found, (status, code.to_owned()), "{}", self.dump());
        self
    }

    /// Asserts a `validation_error` that gives reasons for exactly these fields, which are in alphabetical order.
    #[track_caller]
    pub fn expect_invalid(self, fields: &[&str]) -> Self {
        let response = self.expect_error(400, "validation_error");
        let body = response.json();
        let details = body["details"].as_object().expect("details are an object");
        let found: Vec<&String> = details.keys().collect();
        assert_eq!(found, fields, "{}", response.dump());
        for reasons in details.values() {
            let reasons = reasons.as_array().expect("reasons are an array");
            assert!(!reasons.is_empty(), "{}", response.dump());
        }
        response
    }

    /// Returns the JSON body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.dump()))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the code of a failure; empty for other responses.
    pub fn error_code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns a header, and fails if it occurs more than once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        let other = values.next();
        assert_eq!(other, None, "`{name}` occurs twice: {}", self.dump());
        Some(value.to_str().expect("the service's headers are ASCII"))
    }

    /// Returns a header that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> i64 {
        let value = self.header(name);
        let number = value.and_then(|value| value.parse().ok());
        number.unwrap_or_else(|| panic!("`{name}` is not a number: {}", self.dump()))
    }

    /// Returns everything, for the message of a failed assertion.
    pub fn dump(&self) -> String {
        let Self {
            method,
            path,
            status,
            headers,
            body,
        } = self;
        let path: String = path.chars().take(200).collect();
        let body: String = String::from_utf8_lossy(body).chars().take(2000).collect();
        format!("{method} {path} → {status}\n{headers:?}\n{body}")
    }
}
