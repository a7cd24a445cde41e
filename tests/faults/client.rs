//! A client that creates, updates, deletes and lists entries, and logs in and out, at random.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testbed::api::User;
use tokio::time::{sleep, timeout};

use crate::api::{Api, Request};
use crate::history::{Deletion, Entry, parse_text};
use crate::observations::Observations;

const PASSWORD: &str = "Passw0rd!";

/// How long a client tries to create an entry: longer than any fault and the recovery from it.
const CREATE_TIMEOUT: Duration = Duration::from_secs(15);

/// A user with one session for its entries, and others that it ends.
pub struct Client {
    number: usize,
    api: Api,
    user: User,
    entries: Vec<Entry>,
    /// Access and refresh tokens of the sessions that have ended.
    ended_sessions: Vec<(String, String)>,
}

impl Client {
    /// Registers a user, and logs it in.
    pub async fn register(number: usize, urls: [String; 2]) -> Result<Self> {
        let email = format!("client{number}@example.com");
        let user = User::register(&urls[0], &email, PASSWORD).await?;
        Ok(Self {
            number,
            api: Api::new(urls).context("no HTTP client")?,
            user,
            entries: Vec::new(),
            ended_sessions: Vec::new(),
        })
    }

    /// Sends one request after another until it is stopped.
    pub async fn work(&mut self, seen: &Observations) {
        while !seen.is_stopped() {
            match fastrand::u8(..100) {
                ..40 => self.create(seen).await,
                40..70 => self.update(seen).await,
                70..80 => self.delete(seen).await,
                80..96 => self.list(seen).await,
                _ => self.log_out(seen).await,
            }
            sleep(Duration::from_millis(fastrand::u64(5..30))).await;
        }
    }

    /// Creates an entry, with retries under one idempotency key.
    async fn create(&mut self, seen: &Observations) {
        let name = format!("Entry {} of client {}", self.entries.len(), self.number);
        let mut entry = Entry::new(name);
        let body = json!({ "content": entry.text() });
        let request = Request {
            body: Some(&body),
            idempotency_key: Some(&entry.name),
            expected: &[201],
            ..Request::new(Method::POST, "/diaries", &self.user.token)
        };
        let begun = Instant::now();
        let mut responses = Vec::new();
        while responses.is_empty() && begun.elapsed() < CREATE_TIMEOUT {
            let patience = match fastrand::u8(..5) {
                // Hangs up, most often before the response.
                0 => Duration::from_millis(fastrand::u64(1..40)),
                _ => Duration::MAX,
            };
            // Some attempts go to both processes at once.
            let processes: &[usize] = [&[0][..], &[1], &[0, 1]][fastrand::usize(..3)];
            let attempts = processes.iter().map(|process| async {
                let attempt = self.api.send_to(*process, &request, seen);
                timeout(patience, attempt).await.ok().flatten()
            });
            responses.extend(join_all(attempts).await.into_iter().flatten());
        }
        let ids: Vec<_> = responses
            .iter()
            .map(|response| response.body["id"].as_i64())
            .collect();
        if let Some(id) = ids.first() {
            if id.is_none() || ids.iter().any(|other| other != id) {
                seen.violation(format!("{} was created with the ids {ids:?}", entry.name));
            }
            seen.acknowledged();
            entry.id = *id;
            entry.acknowledge();
        }
        self.entries.push(entry);
    }

    /// Returns a random entry that may be written now.
    fn pick(entries: &mut [Entry]) -> Option<(i64, &mut Entry)> {
        let writable = entries
            .iter_mut()
            .filter_map(|entry| Some((entry.writable()?, entry)));
        fastrand::choice(writable.collect::<Vec<_>>())
    }

    async fn update(&mut self, seen: &Observations) {
        let Some((id, entry)) = Self::pick(&mut self.entries) else {
            return;
        };
        entry.sent += 1;
        let text = entry.text();
        let (path, body) = (format!("/diaries/{id}"), json!({ "content": text }));
        let request = Request {
            body: Some(&body),
            expected: &[200, 404],
            ..Request::new(Method::PUT, &path, &self.user.token)
        };
        match self.api.send(&request, seen).await {
            None => entry.fail(),
            Some(response) if response.status == 404 => missing(entry, seen),
            Some(response) => {
                if response.body["content"] != text.as_str() {
                    seen.violation(format!("the update to {text:?} returned {}", response.body));
                }
                seen.acknowledged();
                entry.acknowledge();
            }
        }
    }

    async fn delete(&mut self, seen: &Observations) {
        let Some((id, entry)) = Self::pick(&mut self.entries) else {
            return;
        };
        let path = format!("/diaries/{id}");
        let request = Request {
            expected: &[204, 404],
            ..Request::new(Method::DELETE, &path, &self.user.token)
        };
        match self.api.send(&request, seen).await {
            None => {
                entry.deletion = Deletion::Sent;
                entry.fail();
            }
            Some(response) if response.status == 404 => missing(entry, seen),
            Some(_) => {
                seen.acknowledged();
                entry.deletion = Deletion::Acknowledged;
            }
        }
    }

    /// Lists the newest entries, and checks their versions.
    async fn list(&mut self, seen: &Observations) {
        let request = Request::new(Method::GET, "/diaries?per_page=20", &self.user.token);
        let Some(response) = self.api.send(&request, seen).await else {
            return;
        };
        let stored = versions(&response.body["items"], seen);
        for entry in &self.entries {
            let versions = stored.get(&entry.name);
            if let Some(fault) = versions.and_then(|versions| entry.fault(versions)) {
                seen.violation(fault);
            }
        }
    }

    /// Logs in once more, and ends that session.
    async fn log_out(&mut self, seen: &Observations) {
        let credentials = json!({ "email": self.user.email, "password": PASSWORD });
        let login = Request {
            body: Some(&credentials),
            ..Request::new(Method::POST, "/auth/login", "")
        };
        let Some(login) = self.api.send(&login, seen).await else {
            return;
        };
        let token = |name: &str| login.body[name].as_str().unwrap_or_default().to_owned();
        let (access, refresh) = (token("access_token"), token("refresh_token"));
        let mut logout = Request::new(Method::POST, "/auth/logout", &access);
        let process = fastrand::usize(..2);
        if self.api.send_to(process, &logout, seen).await.is_none() {
            // It may have taken effect; the client retries once.
            logout.expected = &[200, 401];
            if self.api.send_to(process, &logout, seen).await.is_none() {
                return;
            }
        }
        seen.acknowledged();
        let other = 1 - process;
        let mut own_account = Request::new(Method::GET, "/auth/me", &access);
        own_account.expected = &[401];
        self.api.send_to(other, &own_account, seen).await;
        self.ended_sessions.push((access, refresh));
    }

    /// Checks that every acknowledged write is stored exactly once, and that no session lives on that was ended.
    pub async fn check(&self, seen: &Observations) {
        let mut stored = self.stored_versions(seen).await;
        for entry in &self.entries {
            let versions = stored.remove(&entry.name).unwrap_or_default();
            if let Some(fault) = entry.fault(&versions) {
                seen.violation(fault);
            }
        }
        if !stored.is_empty() {
            seen.violation(format!(
                "entries that client {} did not write: {stored:?}",
                self.number
            ));
        }
        let ended = &[401][..];
        for (access, refresh) in &self.ended_sessions {
            let requests = [
                Request::new(Method::GET, "/auth/me", access),
                Request::new(Method::POST, "/auth/refresh", refresh),
            ];
            for request in requests {
                let request = Request {
                    expected: ended,
                    ..request
                };
                for process in 0..2 {
                    self.api.send_to(process, &request, seen).await;
                }
            }
        }
    }

    /// Returns the versions of all stored entries, by name.
    async fn stored_versions(&self, seen: &Observations) -> HashMap<String, Vec<u32>> {
        let mut items = Vec::new();
        let mut cursor = Some(String::new());
        while let Some(value) = cursor {
            let path = format!("/diaries?per_page=100&cursor={value}");
            let request = Request::new(Method::GET, &path, &self.user.token);
            let Some(mut response) = self.api.send(&request, seen).await else {
                break;
            };
            cursor = response.body["next_cursor"].as_str().map(str::to_owned);
            if let Value::Array(page) = response.body["items"].take() {
                items.extend(page);
            }
        }
        versions(&Value::Array(items), seen)
    }
}

/// Handles a 404 for an entry.
fn missing(entry: &mut Entry, seen: &Observations) {
    if !entry.may_be_missing() {
        seen.violation(format!("does not exist: {entry:?}"));
    }
    entry.deletion = Deletion::Acknowledged;
}

/// Returns the versions in a list of entries, by name.
fn versions(items: &Value, seen: &Observations) -> HashMap<String, Vec<u32>> {
    let mut found = HashMap::<String, Vec<u32>>::new();
    for item in items.as_array().into_iter().flatten() {
        match item["content"].as_str().and_then(parse_text) {
            Some((name, version)) => found.entry(name.to_owned()).or_default().push(version),
            None => seen.violation(format!("an entry that no client wrote: {item}")),
        }
    }
    found
}
