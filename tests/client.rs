//! The three kinds of caller (nobody, a user, another user) behind one small API.
//!
//! Every answer that passes through here is checked for what every answer must carry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::conventions;
use crate::schema::Contract;

/// Meets every rule of the contract.
pub const PASSWORD: &str = "Passw0rd!";

/// Nothing in the contract may take longer, with the slowest model and a part of the service gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running service, as its clients see it.
#[derive(Clone)]
pub struct Service {
    http: reqwest::Client,
    url: Arc<str>,
    contract: Arc<Contract>,
}

impl Service {
    /// The service at `url`, such as `http://127.0.0.1:3000`.
    pub fn at(url: &str, contract: Arc<Contract>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client without TLS always builds");
        Self {
            http,
            url: url.trim_end_matches('/').into(),
            contract,
        }
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Somebody without a token, at an address of their own.
    pub fn anonymous(&self) -> Caller {
        Caller {
            service: self.clone(),
            address: fresh_address(),
            login: None,
        }
    }

    /// A new user, logged in, at an address of their own.
    pub async fn user(&self) -> Caller {
        let caller = self.anonymous();
        let email = fresh_email();
        let credentials = json!({"email": email, "password": PASSWORD});
        caller
            .post("/auth/register", &credentials)
            .await
            .expect(201);
        caller.log_in(&email, PASSWORD).await
    }
}

/// One who calls the service.
#[derive(Clone)]
pub struct Caller {
    service: Service,
    /// What `X-Forwarded-For` says.
    pub address: String,
    login: Option<Login>,
}

/// What a login gave.
#[derive(Clone, Debug)]
pub struct Login {
    /// For everything but refreshing.
    pub access_token: String,
    /// For refreshing only.
    pub refresh_token: String,
    /// `users.id`.
    pub user_id: i32,
    /// Lower-case.
    pub email: String,
}

impl Caller {
    /// This caller with the tokens of a new login.
    pub async fn log_in(&self, email: &str, password: &str) -> Self {
        let credentials = json!({"email": email, "password": password});
        let answer = self
            .anonymous()
            .post("/auth/login", &credentials)
            .await
            .expect(200);
        let body = answer.json();
        let text = |name: &str| body[name].as_str().expect("a token").to_owned();
        let login = Login {
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            user_id: body["user"]["id"]
                .as_i64()
                .and_then(|id| id.try_into().ok())
                .expect("an id"),
            email: body["user"]["email"].as_str().expect("an email").to_owned(),
        };
        Self {
            login: Some(login),
            ..self.clone()
        }
    }

    /// The login of a caller who has one.
    pub fn login(&self) -> &Login {
        self.login.as_ref().expect("this caller is logged in")
    }

    /// The same service without a token, from an address of its own.
    pub fn anonymous(&self) -> Self {
        self.service.anonymous()
    }

    /// The same login at another instance of the service.
    pub fn at(&self, service: &Service) -> Self {
        Self {
            service: service.clone(),
            ..self.clone()
        }
    }

    /// Begins a call.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let call = Call {
            service: self.service.clone(),
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let call = call.header("x-forwarded-for", &self.address);
        match &self.login {
            Some(login) => call.bearer(&login.access_token),
            None => call,
        }
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path).json(body).send().await
    }

    /// `DELETE path`
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    /// Writes an entry and gives it as the service shows it.
    pub async fn write(&self, content: &str) -> Value {
        self.post("/diaries", &json!({"content": content}))
            .await
            .expect(201)
            .json()
    }
}

/// A call before it is sent.
pub struct Call {
    service: Service,
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Call {
    /// Adds a header, beside those of the same name.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Leaves out all headers of a name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| present != name);
        self
    }

    /// Sends this token in place of the caller's.
    pub fn bearer(self, token: &str) -> Self {
        self.without("authorization")
            .header("authorization", format!("Bearer {token}"))
    }

    /// Sends a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sends any body, said to be of this type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the call and checks the answer against the conventions and the OpenAPI document.
    pub async fn send(self) -> Answer {
        let contract = self.service.contract.clone();
        let with_origin = self.headers.iter().any(|(name, _)| name == "origin");
        let answer = self.send_unchecked().await;
        conventions::check(&answer, with_origin);
        contract.check(&answer);
        answer
    }

    /// Sends the call, for answers whose conventions the test itself looks at.
    pub async fn send_unchecked(self) -> Answer {
        let Self {
            service,
            method,
            path,
            headers,
            body,
        } = self;
        let mut request = service
            .http
            .request(method.clone(), format!("{}{path}", service.url));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        let sent = request.send().await;
        let response = sent.unwrap_or_else(|error| panic!("{method} {path}: no answer: {error:?}"));
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await;
        let body = body.unwrap_or_else(|error| panic!("{method} {path}: no body: {error:?}"));
        Answer {
            method,
            path,
            status,
            headers,
            body,
        }
    }
}

/// An answer, with the call it answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of the call.
    pub method: Method,
    /// Of the call, with its query.
    pub path: String,
    /// Such as 200.
    pub status: u16,
    /// In the order they came.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

impl Answer {
    /// Itself, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// Itself, when it is this failure.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.shown()
        );
        self
    }

    /// Itself, when it is a `validation_error` that names this field.
    #[track_caller]
    pub fn expect_invalid(self, field: &str) -> Self {
        let answer = self.expect_error(400, "validation_error");
        let reasons = &answer.json()["details"][field];
        assert!(
            reasons.as_array().is_some_and(|all| !all.is_empty()),
            "{}",
            answer.shown()
        );
        answer
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// The code of a failure; empty when it is none.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A header that is there at most once, as text.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(
            values.next().is_none(),
            "`{name}` comes twice: {}",
            self.shown()
        );
        Some(value.to_str().expect("a header of ours is ASCII"))
    }

    /// A header that must be there and be a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> i64 {
        let value = self
            .header(name)
            .unwrap_or_else(|| panic!("no `{name}`: {}", self.shown()));
        value
            .parse()
            .unwrap_or_else(|_| panic!("`{name}: {value}` is no number"))
    }

    /// Everything, for the message of a failed assertion.
    pub fn shown(&self) -> String {
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

/// An address that no other caller of this run has.
pub fn fresh_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, b, c, d] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// An email that no other user of this run has.
pub fn fresh_email() -> String {
    format!("{}@example.com", fresh_word("user"))
}

/// A word that occurs nowhere else, to be looked for in logs and by the model.
pub fn fresh_word(beginning: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!(
        "{beginning}{:08x}x{}",
        fastrand::u32(..),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
