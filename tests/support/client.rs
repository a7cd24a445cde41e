//! The three kinds of client (anonymous, a user, another user) behind one small API.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::env::SWEEP_TOKEN;
use super::openapi::OpenApi;
use super::own::skip;
use super::request::Request;
use super::response::Response;
use super::unique::{unique_address, unique_email};

/// A password that meets every rule of the contract.
pub const PASSWORD: &str = "Passw0rd!";

/// More than any call may take, even with the slowest model and a server down.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns a builder of HTTP clients that also trust the certificate authority in the file that `E2E_CA` names.
pub fn client_builder() -> reqwest::ClientBuilder {
    let authority = std::env::var_os("E2E_CA").map(|path| {
        let pem = std::fs::read(path).expect("E2E_CA names a file");
        reqwest::Certificate::from_pem(&pem).expect("E2E_CA names a certificate")
    });
    testbed::api::client_builder().tls_certs_merge(authority)
}

/// A running service, as its clients see it.
#[derive(Clone)]
pub struct Service {
    pub(super) http: reqwest::Client,
    pub(super) url: Arc<str>,
    pub(super) openapi: Arc<OpenApi>,
}

impl Service {
    /// Returns the service at `url`, for example `http://127.0.0.1:3000`.
    pub fn new(url: &str, openapi: Arc<OpenApi>) -> Self {
        let http = client_builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .expect("a client with these options always builds");
        Self {
            http,
            url: url.trim_end_matches('/').into(),
            openapi,
        }
    }

    /// Returns host and port, for connections without TLS.
    pub fn authority(&self) -> &str {
        match self.url.strip_prefix("http://") {
            Some(authority) => authority,
            None => skip("a connection without TLS"),
        }
    }

    /// Returns a client without a token, at an address of its own.
    pub fn anonymous(&self) -> Client {
        Client {
            service: self.clone(),
            address: unique_address(),
            session: None,
        }
    }

    /// Registers a user and logs it in, at an address of its own.
    pub async fn user(&self) -> Client {
        let client = self.anonymous();
        let email = unique_email();
        client.register(&email, PASSWORD).await.expect_status(201);
        client.log_in(&email, PASSWORD).await
    }
}

/// A client of the service.
#[derive(Clone)]
pub struct Client {
    service: Service,
    /// The value of `X-Forwarded-For`.
    pub address: String,
    session: Option<Session>,
}

/// What a client keeps of a login.
#[derive(Clone, Debug)]
pub struct Session {
    /// Accepted by all protected routes but `POST /auth/refresh`.
    pub access_token: String,
    /// Accepted by `POST /auth/refresh` only.
    pub refresh_token: String,
    /// `users.id`.
    pub user_id: i32,
    /// Lower-case.
    pub email: String,
}

impl Client {
    /// Returns an anonymous client of the same service, at an address of its own.
    pub fn anonymous(&self) -> Self {
        self.service.anonymous()
    }

    /// Returns a client of another instance of the service, with the same session.
    pub fn on(&self, service: &Service) -> Self {
        Self {
            service: service.clone(),
            ..self.clone()
        }
    }

    /// Returns the session of a client that is logged in.
    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("this client is logged in")
    }

    /// Starts a request with this client's address and token.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let request = Request::new(self.service.clone(), method, path)
            .header("x-forwarded-for", &self.address);
        match &self.session {
            Some(session) => request.bearer(&session.access_token),
            None => request,
        }
    }

    /// Sends `GET path`.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await
    }

    /// Sends `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await
    }

    /// Sends `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.request(Method::PUT, path).json(body).send().await
    }

    /// Sends `DELETE path`.
    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await
    }

    /// Sends `POST /auth/register`.
    pub async fn register(&self, email: &str, password: &str) -> Response {
        let body = json!({"email": email, "password": password});
        self.post("/auth/register", &body).await
    }

    /// Sends `POST /auth/login`.
    pub async fn try_log_in(&self, email: &str, password: &str) -> Response {
        let body = json!({"email": email, "password": password});
        self.post("/auth/login", &body).await
    }

    /// Logs in from a new address and returns this client with the tokens of that login.
    pub async fn log_in(&self, email: &str, password: &str) -> Self {
        let response = self.anonymous().try_log_in(email, password).await;
        let body = response.expect_status(200).json();
        let text = |value: &Value| value.as_str().expect("this is a string").to_owned();
        let user_id = body["user"]["id"].as_i64().expect("the id is a number");
        let session = Session {
            access_token: text(&body["access_token"]),
            refresh_token: text(&body["refresh_token"]),
            user_id: user_id.try_into().expect("the id has 32 bits"),
            email: text(&body["user"]["email"]),
        };
        Self {
            session: Some(session),
            ..self.clone()
        }
    }

    /// Sends `POST /auth/refresh` with the refresh token.
    pub async fn refresh(&self) -> Response {
        let request = self.request(Method::POST, "/auth/refresh");
        request.bearer(&self.session().refresh_token).send().await
    }

    /// Sends `POST /auth/logout`.
    pub async fn log_out(&self) -> Response {
        self.request(Method::POST, "/auth/logout").send().await
    }

    /// Creates an entry and returns it as the service shows it.
    pub async fn create_entry(&self, content: &str) -> Value {
        let response = self.post("/diaries", &json!({"content": content})).await;
        response.expect_status(201).json()
    }

    /// Returns an entry as the service shows it now.
    pub async fn read_entry(&self, entry: &Value) -> Value {
        self.get(&entry_path(entry)).await.expect_status(200).json()
    }

    /// Sends `PUT /diaries/{id}`.
    pub async fn update_entry(&self, entry: &Value, content: &str) -> Response {
        let body = json!({"content": content});
        self.put(&entry_path(entry), &body).await
    }

    /// Sends `POST /diaries/{id}/analyze`.
    pub async fn analyze_entry(&self, entry: &Value) -> Response {
        let path = format!("{}/analyze", entry_path(entry));
        self.request(Method::POST, &path).send().await
    }

    /// Returns a page of the list. `query` is empty or begins with `?`.
    pub async fn list(&self, query: &str) -> Value {
        let response = self.get(&format!("/diaries{query}")).await;
        response.expect_status(200).json()
    }

    /// Returns every entry of the user, newest first.
    pub async fn all_entries(&self) -> Vec<Value> {
        let mut entries = Vec::new();
        for page in 1.. {
            let body = self.list(&format!("?per_page=100&page={page}")).await;
            entries.extend(items(&body).to_vec());
            if body["pages"].as_u64() <= Some(page) {
                assert_eq!(body["total"], entries.len());
                break;
            }
        }
        entries
    }

    /// Returns how many entries of all users wait for the model, as `GET /internal/backlog` reports it to operators.
    pub async fn waiting_entries(&self) -> Value {
        let request = self.request(Method::GET, "/internal/backlog");
        let response = request.bearer(SWEEP_TOKEN).send().await;
        response.expect_status(200).json()["waiting"].clone()
    }

    /// Returns the totals of `GET /diaries/stats`.
    pub async fn stats(&self) -> Value {
        self.get("/diaries/stats").await.expect_status(200).json()
    }
}

/// Returns the path of an entry.
pub fn entry_path(entry: &Value) -> String {
    format!("/diaries/{}", entry["id"])
}

/// Returns the id of an entry.
pub fn entry_id(entry: &Value) -> i64 {
    entry["id"].as_i64().expect("the id is a number")
}

/// Returns the entries of a page.
pub fn items(page: &Value) -> &[Value] {
    page["items"].as_array().expect("the items are an array")
}

/// Returns the body of `GET /diaries/stats` with these totals.
pub fn totals(total: usize, positive: usize, negative: usize, neutral: usize) -> Value {
    json!({
        "total_entries": total,
        "positive_entries": positive,
        "negative_entries": negative,
        "neutral_entries": neutral,
    })
}
